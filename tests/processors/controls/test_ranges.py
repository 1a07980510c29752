"""Regular expressions for ranges of numbers, checked against every number."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkpace.processors.controls._ranges import numbers, whole_numbers

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
