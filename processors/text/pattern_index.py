"""The tokens of a vocabulary that go on with a pattern, found as far as a sequence gets."""

from __future__ import annotations

import re
from functools import lru_cache
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from thinkpace.errors import UnsupportedControl
from thinkpace.processors.text.byte_pattern import DEAD, BytePattern
from thinkpace.processors.text.lexicon import lexicon
from thinkpace.processors.text.vocabulary import Vocabulary

_BEFORE = "[ \n]{0,3}"  # templates and models write up to a blank line before an answer
KEPT = 1 << 22  # tokens that an index keeps, over all nodes: about 50 MB

#: token ids, and for each the node after it
Following = tuple[NDArray[np.int64], NDArray[np.int32]]


def escape(text: str) -> str:
    """The text as a pattern."""
    return re.sub(r"([.^$*+?{}\[\]\\|()])", r"\\\1", text)


class _Pieces:
    """The bytes of a vocabulary's tokens, one after the other."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        texts = lexicon(vocabulary).texts
        self.bytes = np.frombuffer(b"".join(texts), dtype=np.uint8)
        self.lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.ids = np.flatnonzero(self.lengths)


@lru_cache(maxsize=4)
def _pieces(vocabulary: Vocabulary) -> _Pieces:
    return _Pieces(vocabulary)


class PatternIndex:
    """The automaton of a pattern over a vocabulary. What follows a node is found when the node is first reached.

    Threads may share it.

    Args:
        vocabulary: the vocabulary.
        pattern: a regular expression.

    Raises:
        ValueError: if the pattern cannot be read, or is too large.
    """

    first = 0  #: the node before the first token

    def __init__(self, vocabulary: Vocabulary, pattern: str) -> None:
        self._given = vocabulary, pattern
        self._pieces = _pieces(vocabulary)
        self._pattern = BytePattern(pattern)
        self._lock = Lock()
        self._following: dict[int, Following] = {}
        self._kept = 0

    def __reduce__(self) -> tuple[type[PatternIndex], tuple[Vocabulary, str]]:
        return PatternIndex, self._given

    def following(self, node: int) -> Following:
        """The tokens that the pattern allows at a node, in rising order, and the node after each.

        Raises:
            TooLarge: if the pattern needs too many states.
        """
        with self._lock:
            found = self._following.get(node)
            if found is None:
                found = self._find(node)
                self._kept += len(found[0])
                if self._kept > KEPT:
                    self._following.clear()
                    self._kept = len(found[0])
                self._following[node] = found
            return found

    def _find(self, node: int) -> Following:
        pieces, pattern = self._pieces, self._pattern
        at = np.full(len(pieces.lengths), DEAD, dtype=np.int32)
        at[pieces.ids] = node
        going, place = pieces.ids, 0  # tokens whose bytes before this place the pattern allows
        while len(going):
            before = at[going]
            for state in np.unique(before).tolist():
                pattern.expand(state)
            at[going] = after = pattern.table[before, pieces.bytes[pieces.starts[going] + place]]
            place += 1
            going = going[(after >= 0) & (pieces.lengths[going] > place)]
        ids = np.flatnonzero(at >= 0)
        return ids, at[ids]

    def after(self, node: int, token: int) -> int:
        """The node after one more token; -1 if the pattern does not allow it."""
        ids, nodes = self.following(node)
        place = int(np.searchsorted(ids, token))
        return int(nodes[place]) if place < len(ids) and ids[place] == token else DEAD

    def final(self, node: int) -> bool:
        """Whether the text so far matches."""
        return self._pattern.final(node)


@lru_cache(maxsize=16)
def pattern_index(vocabulary: Vocabulary, pattern: str) -> PatternIndex:
    """The automaton of an answer over a vocabulary, cached.

    Raises:
        ValueError: if the pattern cannot be read, or is too large.
        UnsupportedControl: if the vocabulary has no token that ends the sequence.
    """
    if not vocabulary.eos:
        raise UnsupportedControl("StructuredAnswer needs a token that ends the sequence, and this vocabulary has none")
    return PatternIndex(vocabulary, f"{_BEFORE}({pattern})")
