"""ThoughtBudget: cases to check by hand. `says` is what the model would say, `text` what comes of it."""

from __future__ import annotations

from thinkpace import ThoughtBudget
from thinkpace.testing import Case, run_case


def test_the_first_thought_begins_where_thinking_is_opened() -> None:
    """So `so` would begin the second."""
    run_case(Case("so a</t>7", "\n</t>so a</t>7<eos>", 1, "forced", (ThoughtBudget(1, ("so",)),)))


def test_as_many_thoughts_as_allowed() -> None:
    run_case(Case("a so a</t>7", "a so a</t>7<eos>", 5, "natural", (ThoughtBudget(2, ("so",)),)))


def test_the_answer_may_say_them() -> None:
    run_case(Case("a</t> so7", "a</t> so7<eos>", 1, "natural", (ThoughtBudget(1, ("so",)),)))
