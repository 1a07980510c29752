"""The automaton of a regular expression over a vocabulary, by outlines-core."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from thinkpace.errors import MissingExtra, UnsupportedControl
from thinkpace.processors.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    import outlines_core


_BEFORE = "[ \n]{0,3}"  # templates and models write up to a blank line before an answer


def escape(text: str) -> str:
    """The text as a pattern for outlines, whose syntax rejects escapes of characters that need none."""
    return re.sub(r"([.^$*+?{}\[\]\\|()])", r"\\\1", text)


@lru_cache(maxsize=16)
def pattern_index(vocabulary: Vocabulary, pattern: str) -> outlines_core.Index:
    """The automaton of a pattern over a vocabulary, cached.

    Raises:
        MissingExtra: without outlines.
        ValueError: if outlines cannot read the pattern.
        UnsupportedControl: if the vocabulary has no token that ends the sequence.
    """
    try:
        import outlines_core
    except ModuleNotFoundError as error:
        raise MissingExtra("StructuredAnswer", "structured") from error
    apart = vocabulary.special | vocabulary.eos | vocabulary.unused
    if not vocabulary.eos:
        raise UnsupportedControl("StructuredAnswer needs a token that ends the sequence, and this vocabulary has none")
    tokens: dict[bytes, list[int]] = {}
    for token, piece in enumerate(vocabulary.pieces):
        if piece and token not in apart:
            tokens.setdefault(piece, []).append(token)
    try:
        return outlines_core.Index(f"{_BEFORE}({pattern})", outlines_core.Vocabulary(min(vocabulary.eos), tokens))
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"outlines cannot make an automaton of {pattern!r} over this vocabulary: {reason}") from error
