"""Regular expressions as automata over characters, of bounded size."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from re import _constants as op  # type: ignore[attr-defined]  # `re` does not announce its parser
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkpace.processors.text import shared_patterns
from thinkpace.processors.text.character_sets import Decoder, Ranges, category, joined, members, without
from thinkpace.processors.text.shared_patterns import Tables

LENGTH = 100_000  # most characters of a pattern
POSITIONS = 20_000  # most positions of a pattern, its repetitions written out
EFFORT = 2_000_000  # most steps of building an automaton: about a second
DEAD = -1  # the state from which no text matches

_NAMES = {"AT": "an anchor (^, $, \\b, ...)", "GROUPREF": "a back reference", "GROUPREF_EXISTS": "a back reference"}
_NAMES |= {"ASSERT": "look-around", "ASSERT_NOT": "look-around"}
_NAMES |= {"POSSESSIVE_REPEAT": "a possessive repetition", "ATOMIC_GROUP": "an atomic group"}


class TooLarge(ValueError):
    """The automaton of a pattern is larger than allowed."""


class Pattern:
    """The automaton of a regular expression. It matches whole texts.

    The syntax is Python's, without anchors, look-around, back references, flags, and what never gives back. Unlike a
    matcher that tries, it takes one step per character, whatever the expression.

    Args:
        pattern: the expression.
        before: an expression for what may stand before it.

    Raises:
        ValueError: if the expression cannot be read, uses what is left out here, or matches no text.
        TooLarge: if it has more than `LENGTH` characters or `POSITIONS` positions, or its automaton takes more than
            `EFFORT` steps to build.
    """

    #: `step[state, class]`: the state after a character of the class, or `DEAD`; every state leads to a match
    step: NDArray[np.int32]
    #: `final[state]`: whether the text so far matches
    final: NDArray[np.bool_]
    #: finds the class of a character
    decoder: Decoder

    def __init__(self, pattern: str, before: str = "") -> None:
        if len(pattern) > LENGTH:
            raise TooLarge(f"the pattern has more than {LENGTH:,} characters")
        try:
            positions = _Positions(parser.parse(before), parser.parse(pattern))
        except (re.error, OverflowError) as error:
            raise ValueError(f"cannot read the pattern: {error}") from None
        except RecursionError:
            raise TooLarge("the pattern is nested too deeply") from None
        sets = list(positions.sets)
        ranges, classes, classes_of = [], dict[tuple[int, ...], int](), [list[int]() for _ in sets]
        for low, high, which in members(sets, positions.work):
            new = which not in classes
            number = classes.setdefault(which, len(classes))
            ranges.append((low, high, number))
            for i in which if new else ():
                classes_of[i].append(number)
        self.decoder = Decoder(ranges, len(classes), positions.work)
        self._build(positions, classes_of, len(classes))

    @classmethod
    def of(cls, tables: Tables) -> Pattern:
        """The automaton whose `tables()` these are.

        Raises:
            ValueError: if they are not those of an automaton.
        """
        self = cls.__new__(cls)
        try:
            self.step, self.final = tables["step"].astype(np.int32), tables["final"].astype(np.bool_)
            self.decoder = Decoder.of(tables["bytes"], tables["reaches"])
        except KeyError as error:
            raise ValueError(f"no automaton: {error} is missing") from None
        states, classes = self.step.shape if self.step.ndim == 2 else (0, 0)
        if not states or self.final.shape != (states,) or classes != self.decoder.reaches.shape[1]:
            raise ValueError("no automaton: the tables do not fit together")
        if ((self.step < DEAD) | (self.step >= states)).any():
            raise ValueError("no automaton: a state is missing")
        return self

    def tables(self) -> Tables:
        """All of it, as arrays."""
        return {"step": self.step, "final": self.final, "bytes": self.decoder.step, "reaches": self.decoder.reaches}

    def reads(self, code: int) -> bool:
        """Whether some match contains this character, by its code point."""
        at = 0
        for byte in chr(code).encode():
            at = int(self.decoder.step[at, byte])
            if at < 0:
                break
        return at < -1 and bool((self.step[:, -2 - at] != DEAD).any())

    def _build(self, positions: _Positions, classes_of: list[list[int]], classes: int) -> None:
        numbers = {positions.closed([0]): 0}
        states, rows = list(numbers), list[list[int]]()
        for state in states:  # the list grows during iteration
            targets = dict[int, list[int]]()
            for position in state:
                for which, target in positions.edges[position]:
                    positions.work(len(classes_of[which]))
                    for number in classes_of[which]:
                        targets.setdefault(number, []).append(target)
            row = [DEAD] * classes
            positions.work(classes)
            for number, reached in targets.items():
                after = positions.closed(reached)
                if after not in numbers:
                    numbers[after] = len(states)
                    states.append(after)
                row[number] = numbers[after]
            rows.append(row)
        final = np.array([positions.end in state for state in states])
        step = np.array(rows, dtype=np.int32).reshape(len(states), classes)
        live = _leading_to(final, step)
        if not live[0]:
            raise ValueError("the pattern matches no text")
        self.step, self.final = np.where((step >= 0) & live[step], step, DEAD), final


def compiled(pattern: str, before: str = "") -> Pattern:
    """The automaton of a pattern: cached, or left by another process (`shared_patterns`), or built.

    Raises what `Pattern` raises.
    """
    found = _compiled(pattern, before)
    if shared_patterns.sharing():
        shared_patterns.write(found.tables(), pattern, before)
    return found


@lru_cache(maxsize=16)
def _compiled(pattern: str, before: str) -> Pattern:
    tables = shared_patterns.read(pattern, before)
    if tables is not None:
        with suppress(ValueError):  # a damaged file
            return Pattern.of(tables)
    return Pattern(pattern, before)


class _Positions:
    """The places in an expression between which a character is read, or nothing. The first is 0."""

    def __init__(self, *parts: Any) -> None:
        self.sets: dict[Ranges, int] = {}  # sets of characters, and their numbers
        self.edges: list[list[tuple[int, int]]] = []  # per position: sets, and the positions behind a character of them
        self._empty: list[set[int]] = []  # per position: those that follow without a character
        self._effort = 0
        for flags in (part.state.flags & ~re.UNICODE for part in parts):
            if flags:
                raise ValueError(f"the pattern sets {re.RegexFlag(flags)!r}, which is not supported: write it out")
        start, self.end = self._new(), self._new()
        self._add(chain.from_iterable(parts), start, self.end)

    def closed(self, positions: Iterable[int]) -> frozenset[int]:
        """Positions with all that follow them without a character; those that nothing follows are left out."""
        stack = list(positions)
        found = set(stack)
        while stack:
            targets = self._empty[stack.pop()]
            self.work(1 + len(targets))
            stack += targets - found
            found |= targets
        return frozenset(p for p in found if self.edges[p] or p == self.end)

    def work(self, steps: int) -> None:
        """Count steps of building."""
        self._effort += steps
        if self._effort > EFFORT:
            raise TooLarge("the pattern's automaton is too large: shorten what is repeated, or what comes before it")

    def _new(self) -> int:
        if len(self.edges) >= POSITIONS:
            raise TooLarge(f"the pattern has more than {POSITIONS:,} positions, its repetitions written out")
        self.edges.append([])
        self._empty.append(set())
        return len(self.edges) - 1

    def _add(self, parsed: Iterable[tuple[Any, Any]], start: int, end: int) -> None:
        self.work(1)
        at = start
        for kind, value in parsed:
            after = self._new()
            self._add_one(kind, value, at, after)
            at = after
        self._empty[at].add(end)

    def _add_one(self, kind: Any, value: Any, start: int, end: int) -> None:
        if kind in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN):
            ranges = _ranges(kind, value)
            self.edges[start].append((self.sets.setdefault(ranges, len(self.sets)), end))
        elif kind is op.BRANCH:
            for branch in value[1]:
                self._add(branch, start, end)
        elif kind is op.SUBPATTERN:
            if value[1] or value[2]:
                raise ValueError("the pattern sets flags, which are not supported: write it out")
            self._add(value[3], start, end)
        elif kind in (op.MAX_REPEAT, op.MIN_REPEAT):
            self._repeat(value, start, end)
        else:
            name = _NAMES.get(str(kind), str(kind).lower())
            advice = ": leave it out, the whole answer has to match anyway" if kind is op.AT else ""
            raise ValueError(f"the pattern uses {name}, which is not supported{advice}")

    def _repeat(self, value: Any, start: int, end: int) -> None:
        least, most, body = value
        at = start
        for _ in range(least):
            after = self._new()
            self._add(body, at, after)
            at = after
        if most is op.MAXREPEAT:
            loop = self._new()
            self._empty[at].add(loop)
            self._add(body, loop, loop)
            at = loop
        else:
            for _ in range(most - least):
                self._empty[at].add(end)
                after = self._new()
                self._add(body, at, after)
                at = after
        self._empty[at].add(end)


def _ranges(kind: Any, value: Any) -> Ranges:
    if kind is op.LITERAL:
        return ((value, value),)
    if kind is op.NOT_LITERAL:
        return without([(value, value)])
    if kind is op.ANY:
        return without([(ord("\n"), ord("\n"))])
    if kind is op.RANGE:
        return (value,)
    if kind is op.CATEGORY:
        negated, name = str(value).startswith("CATEGORY_NOT_"), str(value).rpartition("_")[2]
        found = category(name[0].lower())
        return without(found) if negated else found
    negated = value[0][0] is op.NEGATE
    inside = chain.from_iterable(_ranges(*item) for item in value[negated:])
    return without(inside) if negated else joined(inside)


def _leading_to(final: NDArray[np.bool_], step: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which states lead to a final one."""
    before: list[list[int]] = [[] for _ in final]
    for state, reached in enumerate(step):
        for after in np.unique(reached[reached >= 0]).tolist():
            before[after].append(state)
    live = final.copy()
    stack = np.flatnonzero(final).tolist()
    while stack:
        for state in before[stack.pop()]:
            if not live[state]:
                live[state] = True
                stack.append(state)
    return live
