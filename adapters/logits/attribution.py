"""Attribution: which id the model really drew where an edit moved or refused probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from thinkpace.adapters.logits.randomness import chosen, uniform
from thinkpace.adapters.logits.reference import Row, edited, with_bias
from thinkpace.processors.core.edit import Edit


class RowSnapshot(Protocol):
    """What an adapter keeps of a row from before the edit, computed only when needed."""

    def refused(self) -> tuple[float, NDArray[np.floating]]:
        """The probability that a `redraw` id is drawn, and the logits of these ids in order."""
        ...

    def sources(self, token: int) -> NDArray[np.floating]:
        """The logits that were merged into `token`, in the order of the edit's sources."""
        ...


def attribute_draw(seen: RowSnapshot, edit: Edit, token: int, temperature: float, u: float) -> int:
    """Draw the id that the model really drew, given that the result was `token`.

    Args:
        seen: snapshot of the row before the edit.
        edit: the edit of the row.
        token: the resulting token.
        temperature: as in `edited`.
        u: uniform on [0, 1).

    Returns:
        `token` itself, an id whose probability was moved onto it, or an id that was refused and redrawn.
    """
    if edit.redraw:
        share, logits = seen.refused()
        if u < share:
            return sorted(edit.redraw)[chosen(logits, temperature, u / share)]
        u = (u - share) / (1 - share)
    sources = edit.moved_onto.get(token)
    return token if sources is None else sources[chosen(seen.sources(token), temperature, u)][0]


@dataclass(slots=True)  # not frozen: one is made per row and step
class DrawAttribution:
    """Attribution of the next token by a random number that depends only on seed and position."""

    seen: RowSnapshot
    temperature: float
    seed: int

    def __call__(self, edit: Edit, token: int, at: int) -> int:
        return attribute_draw(self.seen, edit, token, self.temperature, uniform(self.seed, at, "origin"))


@dataclass(frozen=True, slots=True)
class RowCopy:
    """A full copy of a row before the edit. Implements `RowSnapshot`."""

    row: Row
    edit: Edit
    temperature: float

    def refused(self) -> tuple[float, Row]:
        return redraw_probability(self.row, self.edit, self.temperature), _barred(self.row, self.edit)

    def sources(self, token: int) -> Row:
        return with_bias(self.row, self.edit.moved_onto[token])


def _barred(row: Row, edit: Edit) -> Row:
    return with_bias(row, [(i, edit.bias.get(i, 0.0)) for i in sorted(edit.redraw)])


def redraw_probability(row: Row, edit: Edit, temperature: float) -> float:
    """The probability that a `redraw` id is drawn first; 0 or 1 at temperature 0."""
    barred = _barred(row, edit)
    rest = edited(row, edit, temperature)
    if temperature == 0:
        return float(barred.max() > rest.max())
    top = max(barred.max(), rest.max())
    weight = np.exp((barred - top) / temperature).sum()
    return float(weight / (weight + np.exp((rest - top) / temperature).sum()))
