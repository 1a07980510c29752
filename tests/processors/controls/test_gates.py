"""`during` and `after`: cases to check by hand. `says` is what the model would say, `text` what comes of it."""

from __future__ import annotations

from thinkpace import SuppressExpressions, after, during
from thinkpace.testing import Case, run_case


def test_during_thinking_leaves_the_answer_alone() -> None:
    run_case(Case("a</t>so7", "a</t>so7<eos>", 1, "natural", (during("thinking", SuppressExpressions(("so",))),)))


def test_after_two_tokens_it_acts_on_the_third() -> None:
    run_case(Case("so so", "so <<<", 5, "open", (after(2, SuppressExpressions(("so",))),), limit=5))


def test_after_more_than_come_it_never_acts() -> None:
    run_case(Case("so</t>7", "so</t>7<eos>", 1, "natural", (after(9, SuppressExpressions(("so",))),)))
