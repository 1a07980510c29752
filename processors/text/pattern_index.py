"""The tokens of a vocabulary that go on with a pattern, found as far as a sequence gets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from thinkpace.errors import UnsupportedControl
from thinkpace.processors.text.character_sets import INVALID
from thinkpace.processors.text.lexicon import lexicon
from thinkpace.processors.text.pattern import DEAD, compiled
from thinkpace.processors.text.vocabulary import Vocabulary

KEPT = 1 << 22  # tokens that an index keeps, over all nodes: about 64 MB

#: token ids in rising order, and the node after each
Following = tuple[NDArray[np.int64], NDArray[np.int64]]


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
    """The automaton of a pattern over the tokens of a vocabulary.

    A node is a number: a state of the pattern, and how much of a character there is. The tokens that may follow a
    node are found when it is first reached. Threads may share an index.

    Args:
        vocabulary: the vocabulary.
        pattern: a regular expression.
        before: a regular expression for what may stand before it.

    Raises:
        ValueError: if the pattern cannot be read, or is too large (`TooLarge`).
    """

    first = 0  #: the node before the first token

    def __init__(self, vocabulary: Vocabulary, pattern: str, before: str = "") -> None:
        self._given = vocabulary, pattern, before
        self._pattern = compiled(pattern, before)
        self._pieces = _pieces(vocabulary)
        self._lock = Lock()
        self._following: dict[int, Following] = {}
        self._kept = 0

    def __reduce__(self) -> tuple[type[PatternIndex], tuple[Vocabulary, str, str]]:
        return PatternIndex, self._given

    def following(self, node: int) -> Following:
        """The tokens that the pattern allows at a node, and the node after each."""
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
        pieces, step, decoder = self._pieces, self._pattern.step, self._pattern.decoder
        size = len(decoder.step)
        states = np.full(len(pieces.lengths), DEAD, dtype=np.int64)
        parts = np.zeros(len(pieces.lengths), dtype=np.int64)
        going, place = pieces.ids, 0  # tokens whose bytes before this place the pattern allows
        states[going], parts[going] = divmod(node, size)
        while len(going):
            after = decoder.step[parts[going], pieces.bytes[pieces.starts[going] + place]]
            whole = after < INVALID
            ends = going[whole]
            states[ends] = step[states[ends], -2 - after[whole]]
            states[going[after == INVALID]] = DEAD
            parts[going] = np.maximum(after, 0)
            place += 1
            going = going[(states[going] != DEAD) & (pieces.lengths[going] > place)]
        cut = np.flatnonzero((states != DEAD) & (parts > 0))  # tokens that end inside a character
        pairs, which = np.unique(np.stack((states[cut], parts[cut])), axis=1, return_inverse=True)
        live = ((step[pairs[0]] != DEAD) & decoder.reaches[pairs[1]]).any(axis=1)
        states[cut[~live[which.reshape(-1)]]] = DEAD
        ids = np.flatnonzero(states != DEAD)
        return ids, states[ids] * size + parts[ids]

    def after(self, node: int, token: int) -> int:
        """The node after one more token; -1 if the pattern does not allow it."""
        ids, nodes = self.following(node)
        place = int(np.searchsorted(ids, token))
        return int(nodes[place]) if place < len(ids) and ids[place] == token else DEAD

    def final(self, node: int) -> bool:
        """Whether the text so far matches."""
        state, part = divmod(node, len(self._pattern.decoder.step))
        return part == 0 and bool(self._pattern.final[state])


@lru_cache(maxsize=16)
def pattern_index(vocabulary: Vocabulary, pattern: str, before: str = "") -> PatternIndex:
    """The automaton of an answer over a vocabulary, cached. Arguments as of `PatternIndex`.

    Raises:
        ValueError: if the pattern cannot be read, matches no text, or is too large.
        UnsupportedControl: if the vocabulary has no token that ends the sequence, or none that begins an answer.
    """
    if not vocabulary.eos:
        raise UnsupportedControl("StructuredAnswer needs a token that ends the sequence, and this vocabulary has none")
    index = PatternIndex(vocabulary, pattern, before)
    if not _begins(index, lexicon(vocabulary).texts):
        raise UnsupportedControl(f"no token of this vocabulary begins an answer of the pattern {pattern!r}")
    return index


def _begins(index: PatternIndex, texts: Sequence[bytes]) -> bool:
    """Whether there is an answer that is empty, or a token that begins one, behind a little white space or none."""
    nodes = [index.first]
    for node in nodes:  # the list grows during iteration
        if len(nodes) > 16:
            return True  # an answer of white space
        ids, after = index.following(node)
        if index.final(node) or any(texts[token].strip(b" \n") for token in ids.tolist()):
            return True
        nodes += sorted(set(after.tolist()) - set(nodes))
    return False
