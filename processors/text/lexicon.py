"""The bytes of the tokens of a vocabulary, analysed once per vocabulary.

A token is a piece: a sequence of bytes. Words, sentences and characters are defined on bytes, independent of how a
tokenizer splits them: a word may be one token or seven, and a token may end inside a character.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from enum import IntEnum
from functools import cached_property, lru_cache

from thinkpace.processors.text.vocabulary import Vocabulary


class Sort(IntEnum):
    """The class of a byte with respect to words."""

    OTHER = 0
    SPACE = 1
    WORD = 2  #: letters, digits, underscore


def sort_of(byte: int, before: Sort) -> Sort:
    """The sort of a byte; inside a character of several bytes, the sort of its first byte.

    Outside ASCII, characters of alphabets are WORD; ideographs, punctuation and symbols are OTHER.
    """
    if byte < 0x80:
        return _ASCII[byte]
    if byte < 0xC0:
        return Sort.OTHER if before is Sort.SPACE else before  # after a space it continues no character
    return Sort.WORD if 0xC3 <= byte <= 0xDF or byte in _ALPHABETS else Sort.OTHER


_ASCII = [
    Sort.WORD if chr(b).isalnum() or b == 0x5F else Sort.SPACE if b in b" \t\n\r\v\f" else Sort.OTHER
    for b in range(0x80)
]


_ALPHABETS = (0xE0, 0xE1, 0xEA, 0xEB, 0xEC, 0xED)  # Indic and other scripts; Hangul


def missing_bytes(piece: bytes) -> int:
    """Number of bytes that the last character lacks; if negative, number of bytes that continue an earlier character.

    >>> missing_bytes(b"a"), missing_bytes("é".encode()[:1]), missing_bytes("漢".encode()[1:])
    (0, 1, -2)
    """
    held = 0
    while held < len(piece) and 0x80 <= piece[-1 - held] < 0xC0:
        held += 1
    if held == len(piece):
        return -held
    length = _length(piece[-1 - held])
    return max(0, length - 1 - held)


def _length(first: int) -> int:
    return 1 if first < 0xC2 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4 if first < 0xF5 else 1


class LineKind(IntEnum):
    """What a token does to the line."""

    VISIBLE = 0  #: the line holds visible text after it
    BLANK = 1  #: the line is as it was
    BREAK = 2  #: a new line begins


def line_kind(piece: bytes) -> LineKind:
    r"""What a piece does to the line.

    >>> [line_kind(piece).name for piece in (b"a", b" ", b"a\n  ", b"\na", b"")]
    ['VISIBLE', 'BLANK', 'BREAK', 'VISIBLE', 'BLANK']
    """
    last = piece.rpartition(b"\n")[2]
    if last.strip():
        return LineKind.VISIBLE
    return LineKind.BREAK if b"\n" in piece else LineKind.BLANK


class Lexicon:
    """The pieces of one vocabulary. Built by `lexicon`.

    Args:
        vocabulary: the vocabulary.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._apart = vocabulary.special | vocabulary.eos | vocabulary.unused
        self.pieces = tuple(vocabulary.pieces)

    @cached_property
    def words(self) -> tuple[bytes, ...]:
        """The pieces, `folded` for comparing words; b"" for tokens that are not text."""
        return tuple(b"" if i in self._apart else folded(piece) for i, piece in enumerate(self.pieces))

    @cached_property
    def texts(self) -> tuple[bytes, ...]:
        """The pieces unchanged; b"" for tokens that are not text."""
        return tuple(b"" if i in self._apart else piece for i, piece in enumerate(self.pieces))

    @cached_property
    def partial(self) -> dict[int, int]:
        """`missing_bytes` of the tokens that end inside a character or continue one."""
        missing = ((i, missing_bytes(piece)) for i, piece in enumerate(self.texts) if piece and piece[-1] >= 0x80)
        return {i: count for i, count in missing if count}

    @cached_property
    def line_ends(self) -> frozenset[int]:
        """Tokens that contain a line break."""
        return frozenset(i for i, piece in enumerate(self.texts) if b"\n" in piece)

    @cached_property
    def line_kinds(self) -> dict[int, LineKind]:
        """What tokens do to the line, for those that leave no visible text in it."""
        kinds = ((i, line_kind(piece)) for i, piece in enumerate(self.texts))
        return {i: kind for i, kind in kinds if kind is not LineKind.VISIBLE}

    @cached_property
    def _sorted_words(self) -> list[tuple[bytes, int]]:
        return sorted((word, i) for i, word in enumerate(self.words) if word)

    @cached_property
    def _sorted_texts(self) -> list[tuple[bytes, int]]:
        return sorted((text, i) for i, text in enumerate(self.texts) if text)

    def beginning_with(self, start: bytes, *, words: bool) -> Iterable[int]:
        """Yields the ids whose piece starts with `start`; with `words`, whose folded piece does."""
        pieces = self._sorted_words if words else self._sorted_texts
        at = bisect_left(pieces, (start, -1))
        while at < len(pieces) and pieces[at][0].startswith(start):
            yield pieces[at][1]
            at += 1

    def spelled(self, piece: bytes, *, words: bool) -> Iterable[int]:
        """Yields the ids whose piece equals `piece`; with `words`, whose folded piece does."""
        pieces = self._sorted_words if words else self._sorted_texts
        at = bisect_left(pieces, (piece, -1))
        while at < len(pieces) and pieces[at][0] == piece:
            yield pieces[at][1]
            at += 1

    @cached_property
    def last_sorts(self) -> tuple[Sort, ...]:
        """The sort of the last character of each piece; OTHER for tokens that are not text."""
        out = []
        for piece in self.texts:
            at = len(piece) - 1
            while at > 0 and 0x80 <= piece[at] < 0xC0:
                at -= 1
            out.append(sort_of(piece[at], Sort.OTHER) if piece else Sort.OTHER)
        return tuple(out)

    @cached_property
    def not_word_ends(self) -> frozenset[int]:
        """Tokens that do not end inside a word."""
        return frozenset(i for i, sort in enumerate(self.last_sorts) if sort is not Sort.WORD)


def folded(piece: bytes) -> bytes:
    """The piece with ASCII letters in lower case, and runs of white space as one space."""
    lower = piece.lower()
    if lower.isalnum():
        return lower
    out = bytearray()
    for byte in lower:
        if byte in b" \t\n\r\v\f":
            if not out or out[-1] != 0x20:
                out.append(0x20)
        else:
            out.append(byte)
    return bytes(out)


def shapes(pieces: Sequence[bytes], alike: bytes) -> tuple[list[int], list[int]]:
    """Group pieces that are equal after `bytes.translate` with `alike`, which maps equivalent bytes to one byte.

    Returns:
        The class of every piece, and for every class the index of its first piece.
    """
    class_of: dict[bytes, int] = {}
    classes, samples = list[int](), list[int]()
    for at, piece in enumerate(pieces):
        shape = piece.translate(alike)
        if shape not in class_of:
            class_of[shape] = len(samples)
            samples.append(at)
        classes.append(class_of[shape])
    return classes, samples


@lru_cache(maxsize=8)
def lexicon(vocabulary: Vocabulary) -> Lexicon:
    """The lexicon of a vocabulary, cached."""
    return Lexicon(vocabulary)
