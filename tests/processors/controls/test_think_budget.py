"""ThinkBudget: cases to check by hand. `says` is what the model would say, `text` what comes of it."""

from __future__ import annotations

from thinkpace import ThinkBudget
from thinkpace.testing import Case, run_case


def test_it_closes_at_the_limit() -> None:
    """One token is thought; the model says the rest of its thinking in the answer."""
    run_case(Case("aa</t>7", "a</t>a</t>7<eos>", 1, "forced", (ThinkBudget(1, answer_reserve=0),)))


def test_it_does_not_close_before_the_minimum() -> None:
    """The close cannot come as second token: `<`, the next likeliest, does."""
    run_case(Case("a</t>7", "a<</t>7<eos>", 2, "natural", (ThinkBudget(min_tokens=2, answer_reserve=0),)))


def test_it_keeps_room_for_the_answer() -> None:
    """Of 8 output tokens 3 are kept and 1 is the close: 4 are thought."""
    run_case(Case("aaaaaaaaaa</t>7", "aaaa</t>aaa", 4, "forced", (ThinkBudget(answer_reserve=3),), limit=8))
