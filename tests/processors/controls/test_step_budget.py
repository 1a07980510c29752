"""StepBudget: cases to check by hand. `says` is what the model would say, `text` what comes of it."""

from __future__ import annotations

from thinkpace import StepBudget
from thinkpace.testing import Case, run_case


def test_it_closes_after_the_separator_that_ends_the_last_step() -> None:
    run_case(Case("a\na</t>7", "a\n</t>a</t>7<eos>", 2, "forced", (StepBudget(1, ("\n",)),)))


def test_an_unfinished_step_does_not_count() -> None:
    run_case(Case("a\na</t>7", "a\na</t>7<eos>", 3, "natural", (StepBudget(2, ("\n",)),)))


def test_any_of_the_separators_ends_a_step() -> None:
    run_case(Case("a;a\na</t>7", "a;a\n</t>a</t>7<eos>", 4, "forced", (StepBudget(2, ("\n", ";")),)))
