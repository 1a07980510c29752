"""The bytes of every token of a Hugging Face tokenizer, read from its decoder."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from thinkpace.errors import UnsupportedControl

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def token_pieces(tokenizer: Any, size: int) -> tuple[bytes, ...]:
    """For every id below `size` the bytes it adds to a text; b"" for unused ids.

    Raises:
        UnsupportedControl: if the tokenizer is neither byte-level, nor SentencePiece-like, nor has a `pieces`
            attribute.
    """
    pieces = getattr(tokenizer, "pieces", None)
    if pieces is not None:
        return tuple(pieces)
    added = {int(i) for i in getattr(tokenizer, "added_tokens_decoder", {})}
    bytes_of = _reader(tokenizer)
    out = [b""] * size
    for text, i in tokenizer.get_vocab().items():
        out[i] = text.encode() if i in added else bytes_of(text)
    return tuple(out)


def _reader(tokenizer: Any) -> Callable[[str], bytes]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    decoder = json.loads(backend.to_str())["decoder"] if backend is not None else None
    kinds = {part["type"]: part for part in _parts(decoder)}
    if "ByteLevel" in kinds:
        table = _byte_level()
        return lambda text: bytes(table[char] for char in text) if all(c in table for c in text) else text.encode()
    if "ByteFallback" in kinds or "Metaspace" in kinds:
        replaced = {"▁": " "}
        for part in _parts(decoder):
            if part["type"] == "Replace" and "String" in part["pattern"]:
                replaced[part["pattern"]["String"]] = part["content"]
        return lambda text: _fallback(text, replaced)
    raise UnsupportedControl(
        "the bytes of this tokenizer's tokens cannot be told: its decoder is neither byte-level nor SentencePiece-like"
    )


def _parts(decoder: dict[str, Any] | None) -> list[dict[str, Any]]:
    if decoder is None:
        return []
    return decoder["decoders"] if decoder["type"] == "Sequence" else [decoder]


def _fallback(text: str, replaced: dict[str, str]) -> bytes:
    if byte := _BYTE.fullmatch(text):
        return bytes.fromhex(byte.group(1))
    for old, new in replaced.items():
        text = text.replace(old, new)
    return text.encode()


def _byte_level() -> dict[str, int]:
    """Maps the characters of byte-level tokenizers to bytes: printable bytes keep their code, others get 256 and up."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(256) if byte not in printable]
    return table | {chr(256 + place): byte for place, byte in enumerate(others)}
