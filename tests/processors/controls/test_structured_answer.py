"""StructuredAnswer: cases to check by hand. `says` is what the model would say, `text` what comes of it."""

from __future__ import annotations

from typing import Any

import pytest

from thinkpace import StructuredAnswer
from thinkpace.testing import Case, run_case


def test_the_answer_is_one_of_the_choices() -> None:
    run_case(Case("a</t>a", "a</t>so<eos>", 1, "natural", (StructuredAnswer(choices=("so",)),)))


def test_an_answer_that_matches_is_left_alone() -> None:
    run_case(Case("a</t>aa", "a</t>aa<eos>", 1, "natural", (StructuredAnswer(regex="a+"),)))


def test_thinking_is_free() -> None:
    run_case(Case("soso</t>7", "soso</t>7<eos>", 2, "natural", (StructuredAnswer(choices=("7",)),)))


@pytest.mark.parametrize("answer", ["a", "aa", "aaa"])
def test_a_choice_that_begins_another(answer: str) -> None:
    """The automaton of outlines knew no `aa` behind `a`: of `1` and `12`, an answer was always `1`."""
    control = StructuredAnswer(choices=("a", "aa", "aaa"))
    run_case(Case(f"a</t>{answer}", f"a</t>{answer}<eos>", 1, "natural", (control,)))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"regex": "a{100000}"}, "regex: the pattern has more than 20,000 positions"),
        ({"regex": "(a|7)*a(a|7){22}"}, "regex: the pattern's automaton is too large"),
        ({"regex": "^a$"}, "regex: the pattern uses an anchor"),
        ({"json_schema": {"type": "string", "pattern": "^a(?=b)$"}}, "json_schema: the pattern uses look-around"),
        ({"json_schema": '{"minimum": ' + "[" * 10_000 + "]" * 10_000 + "}"}, "json_schema"),
        ({"json_schema": {"type": "string", "maxLength": 100_000}}, "json_schema: the pattern has more than"),
        ({"choices": [f"{i:06}" for i in range(4000)]}, "choices may hold 1,000 texts"),
    ],
    ids=lambda given: str(given)[:40],
)
def test_what_cannot_be_built_is_refused_when_it_is_given(given: dict[str, Any], says: str) -> None:
    """D35: in servers before anything runs, since they build controls to check them."""
    with pytest.raises(ValueError, match=says):
        StructuredAnswer(**given)
