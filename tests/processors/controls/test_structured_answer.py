"""StructuredAnswer: cases to check by hand. `says` is what the model would say, `text` what comes of it."""

from __future__ import annotations

import pytest

from thinkpace import StructuredAnswer
from thinkpace.testing import Case, run_case

pytest.importorskip("outlines_core", reason="StructuredAnswer needs the extra structured")


def test_the_answer_is_one_of_the_choices() -> None:
    run_case(Case("a</t>a", "a</t>so<eos>", 1, "natural", (StructuredAnswer(choices=("so",)),)))


def test_an_answer_that_matches_is_left_alone() -> None:
    run_case(Case("a</t>aa", "a</t>aa<eos>", 1, "natural", (StructuredAnswer(regex="a+"),)))


def test_thinking_is_free() -> None:
    run_case(Case("soso</t>7", "soso</t>7<eos>", 2, "natural", (StructuredAnswer(choices=("7",)),)))
