"""Regular expressions over bytes, as an automaton that is built only as far as it is walked.

The expression is read by Python's own parser, and every character class is split into ranges of UTF-8 bytes. States
of the automaton are sets of positions, found when they are first reached: a pattern whose whole automaton would be
exponential costs no more than what is generated with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from re import _constants as op  # type: ignore[attr-defined]  # `re` has a parser that it does not announce
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import numpy as np
from numpy.typing import NDArray

POSITIONS = 20_000  # most positions of a pattern, with its repetitions written out
STATES = 50_000  # most states that may be reached
LAST = 0x10FFFF
DEAD, UNKNOWN = -1, -2

Ranges = list[tuple[int, int]]


class TooLarge(ValueError):
    """A pattern needs more positions or states than are allowed."""


class BytePattern:
    """Matches whole texts. States are numbers; the first is 0.

    Args:
        pattern: a regular expression in Python's syntax, without groups that look around, anchors or references.

    Raises:
        ValueError: if it cannot be read, or uses what cannot be matched here.
        TooLarge: if it has more than `POSITIONS` positions.
    """

    def __init__(self, pattern: str) -> None:
        try:
            parsed = parser.parse(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"cannot read the pattern: {error}") from error
        if flags := parsed.state.flags & ~re.UNICODE:
            raise ValueError(f"the pattern sets {re.RegexFlag(flags)!r}, which is not supported: write it out")
        self._edges: list[list[tuple[int, int, int]]] = []  # per position: (first byte, last byte, target)
        self._empty: list[list[int]] = []  # per position: targets without a byte
        start, end = self._position(), self._position()
        self._end = end
        self._add(parsed, start, end)
        self._numbers: dict[frozenset[int], int] = {}
        self._sets: list[frozenset[int]] = []
        self.table: NDArray[np.int32] = np.full((16, 256), UNKNOWN, dtype=np.int32)
        self._number(self._closed({start}))

    # building

    def _position(self) -> int:
        if len(self._edges) >= POSITIONS:
            raise TooLarge(f"the pattern has more than {POSITIONS:,} positions with its repetitions written out")
        self._edges.append([])
        self._empty.append([])
        return len(self._edges) - 1

    def _add(self, parsed: Iterable[tuple[Any, Any]], start: int, end: int) -> None:
        at = start
        for kind, value in parsed:
            after = self._position()
            self._add_one(kind, value, at, after)
            at = after
        self._empty[at].append(end)

    def _add_one(self, kind: Any, value: Any, start: int, end: int) -> None:
        if kind in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN, op.CATEGORY):
            for path in _utf8(_ranges(kind, value)):
                at = start
                for i, (low, high) in enumerate(path):
                    target = end if i + 1 == len(path) else self._position()
                    self._edges[at].append((low, high, target))
                    at = target
        elif kind is op.BRANCH:
            for branch in value[1]:
                self._add(branch, start, end)
        elif kind is op.SUBPATTERN:
            if value[1] or value[2]:
                raise ValueError("the pattern uses flags, which are not supported")
            self._add(value[3], start, end)
        elif kind in (op.MAX_REPEAT, op.MIN_REPEAT):
            least, most, body = value
            at = start
            for _ in range(least):
                after = self._position()
                self._add(body, at, after)
                at = after
            if most is op.MAXREPEAT:
                loop = self._position()
                self._empty[at].append(loop)
                self._add(body, loop, loop)
                at = loop
            else:
                for _ in range(most - least):
                    self._empty[at].append(end)
                    after = self._position()
                    self._add(body, at, after)
                    at = after
            self._empty[at].append(end)
        elif kind is op.AT:
            raise ValueError(
                "the pattern has an anchor (^, $, \\b, ...): leave it out, the whole answer matches anyway"
            )
        else:
            raise ValueError(f"the pattern uses {str(kind).lower()}, which is not supported")

    # walking

    def _closed(self, positions: Iterable[int]) -> frozenset[int]:
        found, stack = set(positions), list(positions)
        while stack:
            for target in self._empty[stack.pop()]:
                if target not in found:
                    found.add(target)
                    stack.append(target)
        return frozenset(p for p in found if self._edges[p] or p == self._end)

    def _number(self, positions: frozenset[int]) -> int:
        if not positions:
            return DEAD
        number = self._numbers.get(positions)
        if number is None:
            number = self._numbers[positions] = len(self._sets)
            if number >= STATES:
                raise TooLarge(f"the pattern reaches more than {STATES:,} states")
            self._sets.append(positions)
            if number >= len(self.table):
                self.table = np.vstack((self.table, np.full_like(self.table, UNKNOWN)))
        return number

    def expand(self, state: int) -> None:
        """Fill the row of a state in `table`."""
        if self.table[state, 0] != UNKNOWN:
            return
        edges = [edge for position in self._sets[state] for edge in self._edges[position]]
        cuts = sorted({0, 256, *(low for low, _, _ in edges), *(high + 1 for _, high, _ in edges)})
        for low, above in pairwise(cuts):
            targets = {target for first, last, target in edges if first <= low and above - 1 <= last}
            number = self._number(self._closed(targets)) if targets else DEAD
            self.table[state, low:above] = number

    def final(self, state: int) -> bool:
        """Whether the text so far matches."""
        return self._end in self._sets[state]


@lru_cache(maxsize=16)
def _category(name: str) -> tuple[tuple[int, int], ...]:
    runs = {"DIGIT": r"\d+", "WORD": r"\w+", "SPACE": r"\s+"}[name]
    found = []
    for first, above in ((0, 0xD800), (0xE000, LAST + 1)):  # what lies between is no characters
        characters = np.arange(first, above, dtype="<u4").tobytes().decode("utf-32-le")
        found += [(first + run.start(), first + run.end() - 1) for run in re.finditer(runs, characters)]
    return tuple(found)


def _joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    out: Ranges = []
    for low, high in sorted(ranges):
        if out and low <= out[-1][1] + 1:
            out[-1] = out[-1][0], max(high, out[-1][1])
        else:
            out.append((low, high))
    return out


def _without(ranges: Iterable[tuple[int, int]]) -> Ranges:
    out, at = Ranges(), 0
    for low, high in _joined(ranges):
        if at < low:
            out.append((at, low - 1))
        at = high + 1
    return [*out, (at, LAST)] if at <= LAST else out


def _ranges(kind: Any, value: Any) -> Ranges:
    if kind is op.LITERAL:
        return [(value, value)]
    if kind is op.NOT_LITERAL:
        return _without([(value, value)])
    if kind is op.ANY:
        return _without([(10, 10)])
    if kind is op.RANGE:
        return [value]
    if kind is op.CATEGORY:
        name = str(value).removeprefix("CATEGORY_")
        negated = name.startswith("NOT_")
        members = _category(name.removeprefix("NOT_"))
        return _without(members) if negated else list(members)
    items = list(value)
    negated = bool(items) and items[0][0] is op.NEGATE
    found = _joined(r for inner, v in items[negated:] for r in _ranges(inner, v))
    return _without(found) if negated else found


def _utf8(ranges: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Ranges of characters as paths of byte ranges."""
    for low, high in ranges:
        for first, last in ((0, 0x7F), (0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, LAST)):
            if low <= last and first <= high:
                yield from _split(max(low, first), min(high, last))


def _split(low: int, high: int) -> Iterator[list[tuple[int, int]]]:
    a, b = chr(low).encode(), chr(high).encode()
    if len(a) == 1:
        yield [(a[0], b[0])]
        return
    for place in range(1, len(a)):  # from the last byte: until only full tails are left below the first difference
        mask = (1 << (6 * (len(a) - place))) - 1
        if low & ~mask != high & ~mask:
            if low & mask:
                yield from _split(low, low | mask)
                yield from _split((low | mask) + 1, high)
                return
            if high & mask != mask:
                yield from _split(low, (high & ~mask) - 1)
                yield from _split(high & ~mask, high)
                return
    yield list(zip(a, b, strict=True))
