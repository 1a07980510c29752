"""One row of logits under an edit, in numpy: the reference that faster forms are tested against."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thinkpace.errors import NoLegalToken
from thinkpace.processors.edit import Edit, Sources

Row = NDArray[np.float64]


def merged(logits: NDArray[np.float64], temperature: float) -> float:
    """The logit of several tokens as one: T * logsumexp(l / T), and the largest at temperature 0."""
    if temperature == 0 or not np.isfinite(logits.max(initial=-np.inf)):
        return float(logits.max(initial=-np.inf))
    top = logits.max()
    return float(top + temperature * np.log(np.exp((logits - top) / temperature).sum()))


def edited(row: Row, edit: Edit, temperature: float) -> Row:
    """A copy of the row under the edit.

    Args:
        row: logits, shape (vocabulary,).
        edit: what to do.
        temperature: that the row will be sampled at; 0 for greedy.

    Raises:
        NoLegalToken: if the edit leaves a choice of ids and the row bars them all.
    """
    out = row.copy() if edit.only is None else np.full_like(row, -np.inf)
    for token, sources in edit.cells:
        out[token] = merged(_biased(row, sources), temperature)
    if edit.only is not None and not np.isfinite(out).any():
        if edit.forced is None:
            raise NoLegalToken(f"all of {sorted(edit.only)} are barred by the logits themselves")
        out[edit.forced] = 0.0  # what is written comes even if something else has barred it
    return out


def probabilities(row: Row, temperature: float) -> Row:
    """The distribution of the next token; at temperature 0 all of it on the first of the largest."""
    if temperature == 0:
        out = np.zeros_like(row)
        out[int(row.argmax())] = 1.0
        return out
    weights = np.exp((row - row.max()) / temperature)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def origin(row: Row, edit: Edit, token: int, temperature: float, u: float) -> int:
    """Which id the model drew, given that `token` came of it.

    Args:
        row: logits before the edit, shape (vocabulary,).
        edit: what was done to it.
        token: what came.
        temperature: as in `edited`.
        u: uniform on [0, 1).

    Returns:
        `token` itself, the id that was moved onto it, or the id that was refused and drawn again.
    """
    if edit.redraw:
        share = refused(row, edit, temperature)
        if u < share:
            refusals = tuple(sorted((i, edit.bias.get(i, 0.0)) for i in edit.redraw))
            return choose(refusals, _biased(row, refusals), temperature, u / share)
        u = (u - share) / (1 - share)
    sources = edit.moved_onto.get(token)
    return token if sources is None else choose(sources, _biased(row, sources), temperature, u)


def refused(row: Row, edit: Edit, temperature: float) -> float:
    """The probability that the draw falls on an id that is drawn again; at temperature 0 it is 0 or 1."""
    barred = np.array([row[i] + edit.bias.get(i, 0.0) for i in sorted(edit.redraw)])
    rest = edited(row, edit, temperature)
    if temperature == 0:
        return float(barred.max() > rest.max())
    top = max(barred.max(), rest.max())
    weight = np.exp((barred - top) / temperature).sum()
    return float(weight / (weight + np.exp((rest - top) / temperature).sum()))


def choose(sources: Sources, logits: NDArray[np.float64], temperature: float, u: float) -> int:
    """One of the sources by weight; at temperature 0 the largest, the first in order of ids on a tie."""
    if temperature == 0:
        return sources[int(logits.argmax())][0]
    top = logits.max()
    if not np.isfinite(top):
        return sources[0][0]
    share = np.cumsum(np.exp((logits - top) / temperature))
    return sources[min(int(np.searchsorted(share, u * share[-1], side="right")), len(sources) - 1)][0]


def uniform(seed: int, position: int, purpose: str) -> float:
    """A number in [0, 1) that depends on nothing but its arguments, the same on every machine and engine."""
    digest = hashlib.blake2b(f"{seed}/{position}/{purpose}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) / (1 << 53)


def draw(row: Row, temperature: float, u: float) -> int:
    """A token of the row: inverse transform sampling over ids in order."""
    if temperature == 0:
        return int(row.argmax())
    share = np.cumsum(probabilities(row, temperature))
    return min(int(np.searchsorted(share, u * share[-1], side="right")), len(row) - 1)


def _biased(row: Row, sources: Sequence[tuple[int, float]]) -> NDArray[np.float64]:
    return np.array([row[i] + b for i, b in sources], dtype=np.float64)
