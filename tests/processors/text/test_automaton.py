"""The matcher against a search by comparison."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkpace.processors import Matcher

SMALL = st.integers(0, 2)
PATTERNS = st.lists(st.lists(SMALL, min_size=1, max_size=4).map(tuple), min_size=1, max_size=4)


def test_a_repeated_beginning_is_not_missed() -> None:
    """A matcher that starts again from nothing after a miss overlooks 1 1 2 in 1 1 1 2 (llama.cpp's token_matcher)."""
    matcher = Matcher([(1, 1, 2)])
    cursor = 0
    for token in (1, 1, 1, 2):
        cursor = matcher.step(cursor, token)
    assert matcher.found(cursor) == (1, 1, 2)


def test_long_and_many_patterns_take_no_time() -> None:
    """3 kB of text took half a minute and 24 kB gigabytes: prefixes were stored whole, and compared whole."""
    long = tuple(range(2)) * 5000
    matcher = Matcher([long, *((i, 7) for i in range(1000))])
    cursor = 0
    for token in long:
        cursor = matcher.step(cursor, token)
    assert matcher.found(cursor) == long
    assert matcher.partial_match(cursor) == long


def test_an_empty_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        Matcher([()])


@given(PATTERNS, st.lists(SMALL, max_size=20))
def test_agrees_with_plain_search(patterns: list[tuple[int, ...]], stream: list[int]) -> None:
    matcher = Matcher(patterns)
    cursor = 0
    for end in range(1, len(stream) + 1):
        before = cursor
        cursor = matcher.step(cursor, stream[end - 1])
        seen = tuple(stream[:end])
        ending = [p for p in patterns if seen[-len(p) :] == p]
        assert matcher.found(cursor) == max(ending, key=len, default=None)
        assert (stream[end - 1] in matcher.completions(before)) == bool(ending)
        begun = [p[:k] for p in patterns for k in range(1, len(p) + 1) if seen[-k:] == p[:k]]
        assert matcher.partial_match(cursor) == max(begun, key=len, default=())
