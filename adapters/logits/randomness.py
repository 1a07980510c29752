"""Seeded random numbers and draws, identical on every machine and engine."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from thinkpace.adapters.logits.reference import Row


def probabilities(row: Row, temperature: float) -> Row:
    """The distribution of the next token; at temperature 0 all on the first maximum."""
    if temperature == 0:
        out = np.zeros_like(row)
        out[int(row.argmax())] = 1.0
        return out
    weights = np.exp((row - row.max()) / temperature)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def chosen(logits: NDArray[np.floating], temperature: float, u: float) -> int:
    """Index of a logit drawn by weight; at temperature 0 that of the first maximum."""
    if temperature == 0:
        return int(logits.argmax())
    top = logits.max()
    if not np.isfinite(top):
        return 0
    share = np.cumsum(np.exp((logits - top) / temperature), dtype=np.float64)
    return min(int(np.searchsorted(share, u * share[-1], side="right")), len(logits) - 1)


def uniform(seed: int, position: int, purpose: str) -> float:
    """A number in [0, 1) that depends only on the arguments, identical on every machine and engine."""
    digest = hashlib.blake2b(f"{seed}/{position}/{purpose}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) / (1 << 53)


def token_use(retractions: int) -> str:
    """What a random number is for that draws a token; another purpose after every marker that was taken back.

    The positions after it are drawn a second time, and a number used twice would tie the draws together.
    """
    return f"token {retractions}" if retractions else "token"


def draw(row: Row, temperature: float, u: float) -> int:
    """A token drawn from the row by inverse transform sampling over ids in order."""
    if temperature == 0:
        return int(row.argmax())
    share = np.cumsum(probabilities(row, temperature))
    return min(int(np.searchsorted(share, u * share[-1], side="right")), len(row) - 1)
