"""Sets of characters as ranges of code points, and an automaton that finds the class of a character from its bytes."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LAST = 0x10FFFF  # the last code point
_SURROGATES = (0xD800, 0xE000)  # first, and one after the last
INVALID = -1  # a byte that continues no character of any class

#: disjoint ranges of code points in rising order, both ends included
Ranges = tuple[tuple[int, int], ...]


def joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The union of ranges.

    >>> joined([(5, 9), (1, 2), (3, 4), (8, 8)])
    ((1, 9),)
    """
    out: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if out and low <= out[-1][1] + 1:
            out[-1] = out[-1][0], max(high, out[-1][1])
        else:
            out.append((low, high))
    return tuple(out)


def without(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """All characters but those of some ranges."""
    out, at = list[tuple[int, int]](), 0
    for low, high in joined(ranges):
        if at < low:
            out.append((at, low - 1))
        at = high + 1
    return tuple(out) if at > LAST else (*out, (at, LAST))


@lru_cache(maxsize=3)
def category(letter: str) -> Ranges:
    r"""The characters that Python's `\d`, `\w` or `\s` matches, by its letter."""
    found = list[tuple[int, int]]()
    for first, above in ((0, _SURROGATES[0]), (_SURROGATES[1], LAST + 1)):
        characters = np.arange(first, above, dtype="<u4").tobytes().decode("utf-32-le")
        found += [(first + run.start(), first + run.end() - 1) for run in re.finditer(rf"\{letter}+", characters)]
    return tuple(found)


def members(
    sets: Sequence[Ranges], work: Callable[[int], None] = lambda _steps: None
) -> list[tuple[int, int, tuple[int, ...]]]:
    """Cuts all characters into ranges that lie wholly inside or outside each set.

    Args:
        sets: the sets.
        work: is told the number of steps before they are taken, and may raise.

    Returns:
        First and last code point of a range, and the indices of the sets it is in. Ranges in no set are left out, and
        surrogates, which are no characters.
    """
    cuts = sorted({*_SURROGATES, *(cut for ranges in sets for low, high in ranges for cut in (low, high + 1))})
    inside: list[list[int]] = [[] for _ in cuts]
    for i, ranges in enumerate(sets):
        for low, high in ranges:
            first, above = bisect_left(cuts, low), bisect_left(cuts, high + 1)
            work(above - first)
            for place in range(first, above):
                inside[place].append(i)
    return [
        (cuts[i], cuts[i + 1] - 1, tuple(which))
        for i, which in enumerate(inside)
        if which and cuts[i] not in range(*_SURROGATES)
    ]


class Decoder:
    """An automaton over the bytes of UTF-8, which says of each character which class it is in.

    Args:
        ranges: first and last code point of each range, and its class, from 0.
        classes: the number of classes.
        work: as in `members`.
    """

    #: `step[state, byte]`: the next state; -2 - class after the last byte of a character; or `INVALID`. State 0 is
    #: before a character.
    step: NDArray[np.int32]
    #: `reaches[state, class]`: whether a character that has come so far may turn out to be of the class
    reaches: NDArray[np.bool_]

    def __init__(
        self,
        ranges: Iterable[tuple[int, int, int]],
        classes: int,
        work: Callable[[int], None] = lambda _steps: None,
    ) -> None:
        rows, after = [[INVALID] * 256], dict[tuple[int, int, int], int]()
        paths = [(path, which) for low, high, which in ranges for path in _utf8(low, high)]
        reached = [{which for _, which in paths}]
        for path, which in paths:
            at = 0
            for low, high in path[:-1]:
                if (at, low, high) not in after:
                    work(256 + classes)
                    after[at, low, high] = len(rows)
                    rows[at][low : high + 1] = [len(rows)] * (high + 1 - low)
                    rows.append([INVALID] * 256)
                    reached.append(set())
                at = after[at, low, high]
                reached[at].add(which)
            low, high = path[-1]
            rows[at][low : high + 1] = [-2 - which] * (high + 1 - low)
        self.step = np.array(rows, dtype=np.int32)
        self.reaches = np.zeros((len(rows), classes), dtype=np.bool_)
        for at, found in enumerate(reached):
            self.reaches[at, sorted(found)] = True

    @classmethod
    def of(cls, step: NDArray[np.generic], reaches: NDArray[np.generic]) -> Decoder:
        """The automaton with these tables.

        Raises:
            ValueError: if they do not fit together.
        """
        self = cls.__new__(cls)
        self.step, self.reaches = step.astype(np.int32), reaches.astype(np.bool_)
        if self.step.ndim != 2 or self.step.shape[1] != 256 or self.reaches.ndim != 2:
            raise ValueError("no automaton of characters: the tables have another shape")
        states, classes = self.reaches.shape
        inside = (self.step >= -1 - classes) & (self.step < states)
        if not states or len(self.step) != states or not inside.all():
            raise ValueError("no automaton of characters: a state is missing")
        return self


def _utf8(low: int, high: int) -> Iterator[list[tuple[int, int]]]:
    """A range of characters as paths of byte ranges, of which no two overlap in one byte only."""
    for first, last in ((0, 0x7F), (0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, LAST)):
        if low <= last and first <= high:
            yield from _split(max(low, first), min(high, last))


def _split(low: int, high: int) -> Iterator[list[tuple[int, int]]]:
    a, b = chr(low).encode(), chr(high).encode()
    for place in range(1, len(a)):  # until what follows the first byte that differs is all that may follow
        tail = (1 << (6 * (len(a) - place))) - 1
        if low & ~tail != high & ~tail:
            if low & tail:
                yield from _split(low, low | tail)
                yield from _split((low | tail) + 1, high)
                return
            if high & tail != tail:
                yield from _split(low, (high & ~tail) - 1)
                yield from _split(high & ~tail, high)
                return
    yield list(zip(a, b, strict=True))
