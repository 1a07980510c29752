"""One row of logits under an edit, in numpy: the reference that faster forms are tested against."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from thinkpace.errors import NoLegalToken
from thinkpace.processors.edit import Edit

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
    if edit.only is None:
        out = row.copy()
        out[list(edit.dropped)] = -np.inf
    else:
        out = np.full_like(row, -np.inf)
        kept = list(edit.kept)
        out[kept] = row[kept]
    for token, sources in edit.merged.items():
        out[token] = merged(_biased(row, sources), temperature)
    if edit.only is not None and not np.isfinite(out).any():
        if edit.forced is None:
            raise NoLegalToken(f"all of {sorted(edit.only)} are barred by the logits themselves")
        out[edit.forced] = 0.0  # what is written comes even if something else has barred it
    return out


def measured(row: NDArray[np.floating], kind: str, closes: Sequence[int]) -> float:
    """A number about a row at temperature 1.

    Args:
        row: logits before any edit, shape (vocabulary,); -inf for ids that stand for nothing.
        kind: "entropy" (nats), "top_probability" or "close_margin" (nats; infinite where nothing closes).
        closes: the ids that close thinking.
    """
    if kind == "close_margin":  # of logits as of log-probabilities
        return float(row.max()) - max((float(row[i]) for i in closes), default=-np.inf)
    shifted = np.subtract(row, row.max(), dtype=np.float64)
    logs = shifted - np.log(np.exp(shifted).sum())
    if kind == "entropy":
        living = logs[np.isfinite(logs)]
        return float(-(np.exp(living) * living).sum())
    return float(np.exp(logs.max()))


def confidence(log_probabilities: Sequence[float]) -> float:
    """Of a trial: the geometric mean of the probabilities of all tokens but the first; 0 where there are none."""
    rest = log_probabilities[1:]
    return float(np.exp(np.mean(rest))) if len(rest) else 0.0


def probabilities(row: Row, temperature: float) -> Row:
    """The distribution of the next token; at temperature 0 all of it on the first of the largest."""
    if temperature == 0:
        out = np.zeros_like(row)
        out[int(row.argmax())] = 1.0
        return out
    weights = np.exp((row - row.max()) / temperature)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


class Seen(Protocol):
    """What an adapter keeps of a row from before the write, to be read only if it is needed."""

    def refused(self) -> tuple[float, NDArray[np.floating]]:
        """The probability that a `redraw` id would have come, and these ids' logits in their order."""
        ...

    def sources(self, token: int) -> NDArray[np.floating]:
        """The logits that were merged into a token, in the order of the edit's sources."""
        ...


def origin(seen: Seen, edit: Edit, token: int, temperature: float, u: float) -> int:
    """Which id the model drew, given that `token` came of it.

    Args:
        seen: what is kept of the row.
        edit: what was done to it.
        token: what came.
        temperature: as in `edited`.
        u: uniform on [0, 1).

    Returns:
        `token` itself, the id that was moved onto it, or the id that was refused and drawn again.
    """
    if edit.redraw:
        share, logits = seen.refused()
        if u < share:
            return sorted(edit.redraw)[chosen(logits, temperature, u / share)]
        u = (u - share) / (1 - share)
    sources = edit.moved_onto.get(token)
    return token if sources is None else sources[chosen(seen.sources(token), temperature, u)][0]


@dataclass(slots=True)  # not frozen: one is made per row and step
class Evidence:
    """Tells where the next token of a sequence came from, by a random number of its seed and position alone."""

    seen: Seen
    temperature: float
    seed: int

    def __call__(self, edit: Edit, token: int, at: int) -> int:
        return origin(self.seen, edit, token, self.temperature, uniform(self.seed, at, "origin"))


@dataclass(frozen=True, slots=True)
class SeenRow:
    """A whole row, before the write. Implements `Seen`."""

    row: Row
    edit: Edit
    temperature: float

    def refused(self) -> tuple[float, Row]:
        return refused(self.row, self.edit, self.temperature), _barred(self.row, self.edit)

    def sources(self, token: int) -> Row:
        return _biased(self.row, self.edit.moved_onto[token])


def _barred(row: Row, edit: Edit) -> Row:
    return _biased(row, [(i, edit.bias.get(i, 0.0)) for i in sorted(edit.redraw)])


def refused(row: Row, edit: Edit, temperature: float) -> float:
    """The probability that the draw falls on an id that is drawn again; at temperature 0 it is 0 or 1."""
    barred = _barred(row, edit)
    rest = edited(row, edit, temperature)
    if temperature == 0:
        return float(barred.max() > rest.max())
    top = max(barred.max(), rest.max())
    weight = np.exp((barred - top) / temperature).sum()
    return float(weight / (weight + np.exp((rest - top) / temperature).sum()))


def chosen(logits: NDArray[np.floating], temperature: float, u: float) -> int:
    """A place among the logits by weight; at temperature 0 that of the first of the largest."""
    if temperature == 0:
        return int(logits.argmax())
    top = logits.max()
    if not np.isfinite(top):
        return 0
    share = np.cumsum(np.exp((logits - top) / temperature), dtype=np.float64)
    return min(int(np.searchsorted(share, u * share[-1], side="right")), len(logits) - 1)


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
