"""Vocabularies: how a tokenizer spells things.

Ids are the truth and text is for people: a text can be spelled by several token sequences, and what a model wrote is
one of them, not what the tokenizer would have chosen.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

from thinkpace.errors import UnsupportedControl

TokenIds = tuple[int, ...]


class Vocabulary(Hashable, Protocol):
    """What a control needs to know of a tokenizer. Adapters build one per engine; it can be hashed."""

    @property
    def size(self) -> int:
        """One more than the largest id that stands for a token; a model's logits may be wider (padding)."""
        ...

    @property
    def unused(self) -> frozenset[int]:
        """Ids below `size` that stand for nothing."""
        ...

    @property
    def eos(self) -> frozenset[int]:
        """Ids that end a sequence."""
        ...

    @property
    def special(self) -> frozenset[int]:
        """Ids that are no text of the model's, such as turn and end markers: left out of answers."""
        ...

    @property
    def pieces(self) -> Sequence[bytes]:
        """For every id below `size`: the bytes it adds to a text, which may be a part of a character."""
        ...

    def encode(self, text: str) -> TokenIds:
        """The tokenizer's own spelling, special tokens recognised, none added."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of these tokens, special ones included."""
        ...


def spell(vocabulary: Vocabulary, text: str, what: str) -> TokenIds:
    """The tokenizer's spelling of a text that is to be written, checked by reading it back.

    Raises:
        UnsupportedControl: if the vocabulary cannot spell it.
    """
    ids = vocabulary.encode(text)
    if not ids or vocabulary.decode(ids).strip() != text.strip():
        back = vocabulary.decode(ids)
        raise UnsupportedControl(
            f"this vocabulary cannot spell {what} {text!r} (it reads back as {back!r}): use another text"
        )
    return ids


def line_break(vocabulary: Vocabulary, who: str) -> int:
    """The id of a line break alone.

    Raises:
        UnsupportedControl: if the vocabulary has none.
    """
    for token, piece in enumerate(vocabulary.pieces):
        if piece == b"\n" and token not in vocabulary.unused:
            return token
    raise UnsupportedControl(f"{who} needs a token for a line break alone, and this vocabulary has none")
