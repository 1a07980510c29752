"""`during` and `after`: cases to check by hand. `says` is what the model would say, `text` what comes of it."""

from __future__ import annotations

import pytest

from thinkpace import Markers, SuppressExpressions, UnsupportedControl, after, during
from thinkpace.processors import compile_program
from thinkpace.testing import VOCABULARY, Case, run_case


def test_during_thinking_leaves_the_answer_alone() -> None:
    run_case(Case("a</t>so7", "a</t>so7<eos>", 1, "natural", (during("thinking", SuppressExpressions(("so",))),)))


def test_after_two_tokens_it_acts_on_the_third() -> None:
    run_case(Case("so so", "so <<<", 5, "open", (after(2, SuppressExpressions(("so",))),), limit=5))


def test_after_more_than_come_it_never_acts() -> None:
    run_case(Case("so</t>7", "so</t>7<eos>", 1, "natural", (after(9, SuppressExpressions(("so",))),)))


def test_a_gate_that_never_opens_is_refused() -> None:
    """It was taken, and "held"."""
    after_5 = after(5, SuppressExpressions(("so",)))
    with pytest.raises(UnsupportedControl, match="would never act: its gate opens after 5 tokens, and at most 5"):
        compile_program((after_5,), VOCABULARY, Markers("<t>", "</t>"), max_new_tokens=5)
    assert compile_program((after_5,), VOCABULARY, Markers("<t>", "</t>"), max_new_tokens=6)
