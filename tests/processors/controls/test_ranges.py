"""Regular expressions for ranges of numbers, checked against every number."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkpace import StructuredAnswer
from thinkpace.processors.controls._ranges import numbers, whole_numbers, without_ranges

BOUNDS = st.integers(-1200, 1200)


@given(BOUNDS, BOUNDS)
def test_whole_numbers(one: int, other: int) -> None:
    low, high = min(one, other), max(one, other)
    pattern = re.compile(whole_numbers(low, high))
    for number in {*range(low - 12, low + 13), *range(high - 12, high + 13), *range(-1300, 1300, 37)}:
        assert bool(pattern.fullmatch(str(number))) == (low <= number <= high), number
    assert not pattern.fullmatch("-0")
    assert not pattern.fullmatch("07")


@given(BOUNDS, BOUNDS, st.integers(-1300, 1300), st.integers(0, 99))
def test_numbers(one: int, other: int, whole: int, cents: int) -> None:
    low, high = min(one, other), max(one, other)
    pattern = re.compile(numbers(low, high))
    for text in (str(whole), f"{whole}.{cents:02}", f"{low}.00", f"{high}.0", f"{low}", f"{high}.01", f"{low}.01"):
        inside = low <= float(text) <= high
        assert bool(pattern.fullmatch(text)) == inside, (text, pattern.pattern)


@pytest.mark.parametrize(
    ("least", "most", "right", "wrong"),
    [(3, None, "3 99999", "2 -4 0"), (None, 3, "3 0 -99999", "4"), (0, None, "0 10", "-1"), (None, None, "5 -5 0", "")],
)
def test_open_ends(least: int | None, most: int | None, right: str, wrong: str) -> None:
    pattern = re.compile(whole_numbers(least, most))
    assert all(pattern.fullmatch(number) for number in right.split())
    assert not any(pattern.fullmatch(number) for number in wrong.split())


def test_a_schema_with_bounds() -> None:
    pytest.importorskip("outlines_core")
    schema = {
        "type": "object",
        "properties": {
            "age": {"type": "integer", "minimum": 18, "exclusiveMaximum": 121},
            "share": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": ["age", "share"],
    }
    pattern = re.compile(StructuredAnswer(json_schema=schema)._pattern())
    assert pattern.fullmatch(json.dumps({"age": 18, "share": 0.25}))
    assert pattern.fullmatch(json.dumps({"age": 120, "share": 1}))
    assert not pattern.fullmatch(json.dumps({"age": 17, "share": 0.5}))
    assert not pattern.fullmatch(json.dumps({"age": 121, "share": 0.5}))
    assert not pattern.fullmatch(json.dumps({"age": 20, "share": 1.5}))
    assert without_ranges({"enum": [{"type": "integer", "minimum": 3}]})[1] == {}, "a value is no schema"


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "integer", "minimum": 0.5}, "minimum must be a whole number"),
        ({"type": "number", "exclusiveMinimum": 0}, "not the exclusive bounds"),
        ({"type": "integer", "minimum": 4, "maximum": 3}, "no number from 4 to 3"),
        ({"minimum": 4}, "'minimum' without a type of number"),
    ],
)
def test_bounds_that_cannot_be_enforced(schema: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        StructuredAnswer(json_schema=schema)
