"""StructuredAnswer: cases to check by hand. `says` is what the model would say, `text` what comes of it."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest

from thinkpace import Markers, MissingExtra, StructuredAnswer
from thinkpace.processors import compile_program
from thinkpace.processors.text.pattern import Pattern
from thinkpace.testing import VOCABULARY, Case, run_case


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


SCHEMAS: list[tuple[dict[str, Any], tuple[Any, ...], tuple[Any, ...]]] = [
    ({"type": "string", "format": "date"}, ("2026-11-25",), ("25.11.2026",)),
    ({"type": "string", "format": "time"}, ("12:30:00Z",), ("noon",)),
    ({"type": "string", "format": "date-time"}, ("2026-11-25T12:30:00Z",), ("2026-11-25",)),
    ({"type": "string", "format": "uuid"}, ("123e4567-e89b-12d3-a456-426614174000",), ("123",)),
    ({"type": "string", "format": "uri"}, ("https://example.org/a?b=c",), ("a b",)),
    ({"type": "string", "format": "email"}, ("a.b@example.org",), ("a.b",)),
    ({"type": "string", "pattern": "^[a-z]{2}[0-9]+$"}, ("ab12",), ("ab", "xab1")),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ("ab", "漢字c"), ("a", "abcd")),
    ({"enum": [1, 12, "a|b", None]}, (1, 12, "a|b", None), (2, "a")),
    ({"const": 'a.b\n"c"'}, ('a.b\n"c"',), ("axb",)),
    ({"type": ["integer", "null"]}, (5, -7, None), ("5", 1.5)),
    ({"type": "number"}, (1, -0.5, 1e5), ("1",)),
    ({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2}, ([True], [True, False]), ([],)),
    ({"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}]}, (5, "a"), ("ab",)),
    (
        {"type": "object", "properties": {"a": {"type": "integer"}, "é": {"type": "null"}}, "required": ["a"]},
        ({"a": 1}, {"a": 1, "é": None}),
        ({}, {"é": None}),
    ),
]


@pytest.mark.parametrize(("schema", "right", "wrong"), SCHEMAS, ids=[json.dumps(schema) for schema, _, _ in SCHEMAS])
def test_the_patterns_of_json_schemas_can_be_read(
    schema: dict[str, Any], right: tuple[Any, ...], wrong: tuple[Any, ...]
) -> None:
    pytest.importorskip("outlines_core")
    expression = StructuredAnswer(json_schema=schema)._pattern()
    Pattern(expression)
    for value in right:
        assert re.fullmatch(expression, json.dumps(value, ensure_ascii=False)), value
    for value in wrong:
        assert not re.fullmatch(expression, json.dumps(value, ensure_ascii=False)), value


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"regex": "a{100000}"}, "regex: the pattern has more than 20,000 positions"),
        ({"regex": "(a|7)*a(a|7){22}"}, "regex: the pattern's automaton is too large"),
        ({"regex": "^a$"}, "regex: the pattern uses an anchor"),
        ({"json_schema": {"type": "string", "pattern": "a(?=b)"}}, "json_schema: the pattern uses look-around"),
        ({"json_schema": {"type": "string", "maxLength": 100_000}}, "json_schema: the pattern has more than"),
        ({"choices": [f"{i:06}" for i in range(4000)]}, "choices: the pattern has more than"),
    ],
    ids=str,
)
def test_what_cannot_be_built_is_refused_when_it_is_given(given: dict[str, Any], says: str) -> None:
    """D35: in servers before anything runs, since they build controls to check them."""
    if "json_schema" in given:
        pytest.importorskip("outlines_core")
    with pytest.raises(ValueError, match=says):
        StructuredAnswer(**given)


def test_choices_need_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "outlines_core.json_schema", None)
    run_case(Case("a</t>77", "a</t>77<eos>", 1, "natural", (StructuredAnswer(regex="7{2}"),)))
    schema = StructuredAnswer(json_schema={"type": "null"})
    assert schema, "a client may send it to a server that has the extra"
    with pytest.raises(MissingExtra, match="structured"):
        compile_program((schema,), VOCABULARY, markers=Markers("<t>", "</t>"))
