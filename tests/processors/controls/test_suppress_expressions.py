"""SuppressExpressions: cases to check by hand. `says` is what the model would say, `text` what comes of it."""

from __future__ import annotations

from thinkpace import SuppressExpressions
from thinkpace.testing import Case, run_case


def test_a_word_cannot_come_in_thinking() -> None:
    """The model wants nothing else: `<`, the next likeliest, comes every time."""
    run_case(Case("Wait</t>7", "<<<", 3, "open", (SuppressExpressions(("wait",)),), limit=3))


def test_nor_in_the_answer() -> None:
    run_case(Case("a</t>so", "a</t><<", 1, "natural", (SuppressExpressions(("so",)),), limit=4))


def test_of_a_phrase_the_last_word_is_blocked() -> None:
    run_case(Case("a so</t>7", "a <so</t>7<eos>", 4, "natural", (SuppressExpressions(("a so",)),)))
