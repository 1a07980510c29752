"""Short names of settings and lines, as a person would write them in a figure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

#: arguments that say nothing about what a line is
_PLUMBING = re.compile(r"(?:answer_reserve|final|markers)=(?:[^,()]|\([^()]*\))+?(?:, (?=\w+=)|(?=\)))")


def short_names(names: Sequence[str], given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Name -> a short one. Names that would be the same when shortened stay as they are.

    Args:
        names: of settings or lines: the `repr` of controls, with words around it.
        given: short names of one's own.

    >>> short_names(["BudgetForcing(answer_reserve=16), budget", "LoopBreaker() + BudgetForcing(answer_reserve=16)"])
    {'BudgetForcing(answer_reserve=16), budget': 'BudgetForcing, budget', \
'LoopBreaker() + BudgetForcing(answer_reserve=16)': 'LoopBreaker + BudgetForcing'}
    """
    short = {name: _shortened(name) for name in names}
    counts = [*short.values()]
    return {name: (given or {}).get(name, text if counts.count(text) == 1 else name) for name, text in short.items()}


def _shortened(name: str) -> str:
    text = _PLUMBING.sub("", name)
    return text.replace(", )", ")").replace("()", "")
