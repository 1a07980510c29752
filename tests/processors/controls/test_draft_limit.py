"""DraftLimit: cases to check by hand. `says` is what the model would say, `text` what comes of it."""

from __future__ import annotations

from thinkpace import DraftLimit
from thinkpace.testing import Case, run_case


def test_a_separator_comes_instead_of_a_word_too_many() -> None:
    run_case(Case("a a a</t>7", "a a \na</t>7<eos>", 6, "natural", (DraftLimit(2),)))


def test_the_first_separator_is_what_is_written() -> None:
    run_case(Case("a a</t>7", "a ;a</t>7<eos>", 4, "natural", (DraftLimit(1, separators=(";", "\n")),)))


def test_the_answer_is_not_limited() -> None:
    run_case(Case("a</t>a a", "a</t>a a<eos>", 1, "natural", (DraftLimit(1),)))
