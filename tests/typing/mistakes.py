"""A user's mistakes: every line with an ignore must be an error, or the checkers complain about the ignore."""

from __future__ import annotations

import thinkpace
from thinkpace import BudgetForcing, Request, Sampling, ThinkBudget

ThinkBudget("512")  # type: ignore[arg-type]
ThinkBudget(512, maximum=3)  # type: ignore[call-arg]
BudgetForcing(waits="1")  # type: ignore[arg-type]
Request((0,), ThinkBudget(8), 16)  # type: ignore[arg-type]
Sampling(temperature="hot")  # type: ignore[arg-type]
thinkpace.sweep(budget=[0])  # type: ignore[call-arg]
ThinkBudget(8).max_tokens = 9  # type: ignore[misc]
