"""Count words and steps in a stream of tokens."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import NamedTuple

from thinkpace.processors.text.automaton import START, Matcher
from thinkpace.processors.text.lexicon import Sort, lexicon, shapes, sort_of
from thinkpace.processors.text.vocabulary import Vocabulary

_JOINS = b"'.,"  # inside a word when letters or digits stand on both sides: don't, 3.14, 1,000


class WordState(NamedTuple):
    """Position of a sequence in its steps and words."""

    words: int = 0  #: number of words started in this step
    word: int = 0  #: 0: outside a word, 1: inside one, 2: after a word and a sign that may join it to the next letters
    separator: int = START  #: cursor in the separators


class Words:
    """Counts words and steps in tokens. Built by `words`."""

    def __init__(self, vocabulary: Vocabulary, separators: tuple[str, ...], apart: frozenset[int]) -> None:
        self.texts = tuple(b"" if i in apart else text for i, text in enumerate(lexicon(vocabulary).texts))
        self._separators = Matcher([tuple(text.encode()) for text in separators])
        self.cursors = len(self._separators)  #: number of values of `WordState.separator`, from 0
        self._walks: dict[tuple[int, int], tuple[tuple[int, int, bool], ...]] = {}

    def walk(self, word: int, separator: int, piece: bytes) -> tuple[int, int, int, int, bool]:
        """Walk a piece: (words started before a step ended, words since, word, separator, whether a step ended)."""
        first, count, ended, sort = 0, 0, False, Sort.WORD if word == 1 else Sort.OTHER
        for byte in piece:
            sort = sort_of(byte, sort)
            if sort is Sort.WORD:
                count += word == 0
                word = 1
            elif 0xE3 <= byte <= 0xE9:  # ideographs and kana: each is a word
                count, word = count + 1, 0
            elif byte < 0x80 or byte >= 0xC0:
                word = 2 if word == 1 and byte in _JOINS else 0
            separator = self._separators.step(separator, byte)
            if self._separators.found(separator) is not None:
                first, count, ended, word = first if ended else count, 0, True, 0
        return first if ended else count, count if ended else 0, word, separator, ended

    @cached_property
    def shapes(self) -> tuple[list[int], list[int]]:
        """Classes of tokens with the same effect on every state, in the form of `lexicon.shapes`."""
        first_byte: dict[tuple[object, ...], int] = {}
        in_separators = {symbol for pattern in self._separators.patterns for symbol in pattern}
        out = bytearray()
        for byte in range(256):
            byte_sorts = tuple(sort_of(byte, before) for before in Sort)
            alone = 0xE3 <= byte <= 0xE9
            begins = byte < 0x80 or byte >= 0xC0
            key = byte_sorts, byte in _JOINS, alone, begins, byte if byte in in_separators else -1
            out.append(first_byte.setdefault(key, byte))
        return shapes(self.texts, bytes(out))

    def after(self, state: WordState, token: int) -> WordState:
        """The state after one more token."""
        piece = self.texts[token] if token < len(self.texts) else b""
        before, since, word, separator, ended = self.walk(state.word, state.separator, piece)
        return WordState(since if ended else state.words + before, word, separator)

    def beyond(self, state: WordState, allowed: int) -> tuple[int, ...]:
        """The tokens that would start more than `allowed` words before they end the step."""
        return tuple(i for i, started, _ in self._walked(state) if started > allowed)

    def ending(self, state: WordState) -> tuple[int, ...]:
        """The tokens that would end the step before they start another word."""
        return tuple(i for i, started, ends in self._walked(state) if ends and not started)

    def _walked(self, state: WordState) -> tuple[tuple[int, int, bool], ...]:
        """For every token: id, words started before the step ends, whether it ends; independent of `state.words`."""
        key = state.word, state.separator
        if key not in self._walks:
            classes, samples = self.shapes
            walks = [self.walk(*key, self.texts[token]) for token in samples]
            effects = [(walk[0], walk[4]) for walk in walks]
            self._walks[key] = tuple((i, *effects[classes[i]]) for i, piece in enumerate(self.texts) if piece)
        return self._walks[key]


@lru_cache(maxsize=16)
def words(vocabulary: Vocabulary, separators: tuple[str, ...], apart: frozenset[int] = frozenset()) -> Words:
    """The word counter of a vocabulary, cached. `apart`: tokens that are not text."""
    return Words(vocabulary, separators, apart)
