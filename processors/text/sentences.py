"""Find the ends of sentences and lines in a stream of tokens."""

from __future__ import annotations

from enum import IntEnum

from thinkpace.processors.text.lexicon import lexicon
from thinkpace.processors.text.vocabulary import Vocabulary

_ENDS = (".", "!", "?", "…", "。", "！", "？")
_AFTER_ENDS = b" \t\r\"')]}*`"


class Pause(IntEnum):
    """What a stream of tokens ends with."""

    NONE = 0
    DIGIT = 1  #: a full stop after it may be a decimal point
    END = 2  #: a sentence or a line has ended


class Sentences:
    """Tells after every token whether a sentence or a line ends there.

    A full stop directly after a digit does not end a sentence: the number may continue.

    Args:
        vocabulary: the vocabulary of the tokens.
    """

    __slots__ = ("_stops", "_texts")

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._texts = lexicon(vocabulary).texts
        self._stops = tuple(end.encode() for end in _ENDS)

    def after(self, before: Pause, token: int) -> Pause:
        """The pause after one more token."""
        piece = self._texts[token] if token < len(self._texts) else b""
        if not piece:
            return Pause.NONE
        if piece.endswith(b"\n"):
            return Pause.END
        bare = piece.rstrip(_AFTER_ENDS)
        if not bare:  # after an end, white space, quotes and brackets change nothing
            return before if before is Pause.END else Pause.NONE
        if bare.endswith(self._stops):
            is_point = bare[-1:] == b"." and (bare[-2:-1].isdigit() or (len(bare) == 1 and before is Pause.DIGIT))
            return Pause.NONE if is_point else Pause.END
        return Pause.DIGIT if piece[-1:].isdigit() else Pause.NONE
