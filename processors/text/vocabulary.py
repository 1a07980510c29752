"""Vocabularies: how a tokenizer spells texts.

All tracking uses ids, not text: several token sequences can spell one text, and the model's may differ from the one
that the tokenizer would choose.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

from thinkpace.errors import UnsupportedControl

TokenIds = tuple[int, ...]


class Vocabulary(Hashable, Protocol):
    """What a control needs to know about a tokenizer. Adapters build one per engine; it is hashable."""

    @property
    def size(self) -> int:
        """One more than the largest id of a token; a model's logits may be wider (padding)."""
        ...

    @property
    def unused(self) -> frozenset[int]:
        """Ids below `size` that stand for no token."""
        ...

    @property
    def eos(self) -> frozenset[int]:
        """Ids that end a sequence."""
        ...

    @property
    def special(self) -> frozenset[int]:
        """Ids that are not text of the model, such as turn and end markers; left out of answers."""
        ...

    @property
    def pieces(self) -> Sequence[bytes]:
        """For every id below `size`: the bytes it decodes to, possibly only part of a character."""
        ...

    def encode(self, text: str) -> TokenIds:
        """The ids of a text as the tokenizer spells it; special tokens are recognised, and none are added."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of these tokens, special tokens included."""
        ...


def spell(vocabulary: Vocabulary, text: str, what: str) -> TokenIds:
    """The ids of a text that is to be written, checked by decoding them again. `what` names it in the error.

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
    """The id of the token that is a line break and nothing else. `who` names the control in the error.

    Raises:
        UnsupportedControl: if the vocabulary has none.
    """
    for token, piece in enumerate(vocabulary.pieces):
        if piece == b"\n" and token not in vocabulary.unused:
            return token
    raise UnsupportedControl(f"{who} needs a token for a line break alone, and this vocabulary has none")
