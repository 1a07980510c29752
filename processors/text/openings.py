"""Where an opening marker opens thinking, and where it is text that mentions the marker.

A model that explains what `<think>` means writes the marker inside a line of its answer. So after visible text in its
line an opening marker is text, unless `Markers.reopens` says otherwise. A marker of several tokens whose first one is
special is never text.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

from thinkpace.processors.text.automaton import START, Matcher, matcher
from thinkpace.processors.text.lexicon import LineKind, lexicon, line_kind
from thinkpace.processors.text.markers import BoundMarkers
from thinkpace.processors.text.vocabulary import TokenIds, Vocabulary


class Line(IntEnum):
    """Where the next token stands in its line."""

    INSIDE = 0  #: the line holds visible text
    BEGINS = 1  #: it does not


class Openings:
    """The opening markers of one vocabulary. Stateless: the caller holds the cursor and the line.

    Args:
        vocabulary: the vocabulary.
        markers: the markers, bound to it.
    """

    __slots__ = ("_completions", "at_line", "begins", "kinds", "lengths", "matcher", "wake_tokens")

    def __init__(self, vocabulary: Vocabulary, markers: BoundMarkers) -> None:
        self.matcher: Matcher = matcher(markers.open_spellings)
        self.lengths = [len(self.matcher.partial_match(cursor)) for cursor in range(len(self.matcher))]
        never_text = {ids for ids in self.matcher.patterns if len(ids) > 1 and ids[0] in vocabulary.special}
        anywhere = set(self.matcher.patterns) if markers.reopens == "anywhere" else never_text
        #: by cursor: whether the marker that ends there counts at the beginning of a line only
        self.at_line = [self.matcher.found(cursor) not in anywhere for cursor in range(len(self.matcher))]
        #: what tokens do to the line, where they leave no visible text; empty where lines do not matter
        self.kinds = {} if anywhere == set(self.matcher.patterns) else lexicon(vocabulary).line_kinds
        pieces, text = vocabulary.pieces, markers.open_text.encode()
        #: by first token of a marker: what its text before the marker does to the line
        self.begins = {
            ids[0]: line_kind(b"".join(pieces[token] for token in ids).partition(text)[0] if text else b"")
            for ids in markers.open_spellings
        }
        self.wake_tokens = frozenset(i for i, kind in self.kinds.items() if kind is LineKind.BREAK)
        self._completions = {
            (cursor, line): tuple(
                token for token in self.matcher.completions(cursor) if self.step(cursor, line, token)[2] is not None
            )
            for cursor in range(len(self.matcher))
            for line in Line
        }

    def step(self, cursor: int, line: int, token: int) -> tuple[int, int, TokenIds | None]:
        """The cursor and line after one more token outside thinking, and the marker with which it opens thinking."""
        after = self.matcher.step(cursor, token)
        if not self.kinds:
            completed = self.matcher.found(after)
            return (after, line, None) if completed is None else (START, Line.BEGINS, completed)
        length = self.lengths[after]
        if length == 0:
            kind = self.kinds.get(token, LineKind.VISIBLE)
            if kind is LineKind.BREAK:
                return after, Line.BEGINS, None
            return after, line if kind is LineKind.BLANK and cursor == START else Line.INSIDE, None
        if length == 1 or length != self.lengths[cursor] + 1:  # a marker begins here
            kind = self.begins.get(token, LineKind.VISIBLE)
            visible = kind is LineKind.VISIBLE or (kind is LineKind.BLANK and cursor != START)
            line = Line.BEGINS if kind is LineKind.BREAK else Line.INSIDE if visible else line
        completed = self.matcher.found(after)
        if completed is None:
            return after, line, None
        if self.at_line[after] and line == Line.INSIDE:
            return START, Line.INSIDE, None
        return START, Line.BEGINS, completed

    def completions(self, cursor: int, line: int) -> tuple[int, ...]:
        """The tokens that would open thinking as the next token."""
        return self._completions[cursor, Line(line)]


@lru_cache(maxsize=32)
def openings(vocabulary: Vocabulary, markers: BoundMarkers) -> Openings:
    """The openings of a vocabulary and markers, cached."""
    return Openings(vocabulary, markers)
