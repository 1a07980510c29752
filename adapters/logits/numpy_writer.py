"""Edits of one row of logits, in place, for engines that show one at a time. `_rows.edited` is the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thinkpace.adapters.logits.edit_arrays import EditArrays, PerEditCache, cells
from thinkpace.processors.core.edit import Edit

Logits = NDArray[np.float32]


# Finite, so that penalties that follow cannot make it NaN, and no larger: llama.cpp sorts by buckets whose number
# overflows from 3e8 on.
FORCED_LOGIT = np.float32(1e6)  # a score that nothing else has


BARRED_LOGIT = -1e6  # a score that is never drawn, unless all else is barred too


class RowWriter:
    """Writes edits into rows.

    Args:
        temperature: that the rows will be sampled at; 0 for greedy.
        barred: the score of what may not come. Where something else may bar the rest, make it finite.
    """

    __slots__ = ("_cells", "barred", "temperature")

    def __init__(self, temperature: float, barred: float = -np.inf) -> None:
        self.temperature = temperature
        self.barred = barred
        self._cells: PerEditCache[EditArrays] = PerEditCache(cells)

    def write(self, row: Logits, edit: Edit) -> NumpySnapshot | None:
        """Apply an edit.

        A token that comes for certain gets a score that nothing else has, and the rest of the row stays: one number is
        written, and what comes after (a grammar) may still refuse it.

        Args:
            row: shape (vocabulary,), changed in place; may be a strided view.
            edit: what to do.

        Returns:
            What is needed to tell where a moved token came from; None if nothing was moved or refused.
        """
        made = self._cells(edit)
        written = made.kept + len(made.made)
        values = row[made.sources] + made.biases
        barred = row[sorted(edit.redraw)] + np.float32(0) if edit.redraw else None
        if barred is not None:
            barred += np.array([edit.bias.get(i, 0.0) for i in sorted(edit.redraw)], np.float32)
        if edit.forced is not None:
            row[edit.forced] = FORCED_LOGIT
        else:
            if edit.only is not None:
                row[:] = self.barred
            row[made.ids[written:]] = self.barred
            if written:
                row[made.ids[:written]] = self._merged(values, made)
        if barred is None and not edit.redirect:
            return None
        share = 0.0 if barred is None else self._share(barred, row)
        return NumpySnapshot(made, values, barred, share)

    def _merged(self, values: Logits, made: EditArrays) -> Logits:
        """T * logsumexp(values / T) of every cell, the largest at temperature 0."""
        starts = np.flatnonzero(np.diff(made.owners, prepend=-1))
        if len(starts) == len(values):
            return values
        top = np.maximum.reduceat(values, starts)
        if self.temperature == 0:
            return top
        base = np.where(np.isneginf(top), np.float32(0), top)
        weights = np.exp((values - base[made.owners]) / np.float32(self.temperature))
        with np.errstate(divide="ignore"):
            return np.asarray(base + self.temperature * np.log(np.add.reduceat(weights, starts)), np.float32)

    def _share(self, barred: Logits, row: Logits) -> float:
        """The probability of the refused ids beside an edited row."""
        if self.temperature == 0:
            return float(barred.max() > row.max())
        top = max(barred.max(), row.max())
        refused = np.exp((barred.astype(np.float64) - top) / self.temperature).sum()
        return float(refused / (refused + np.exp((row.astype(np.float64) - top) / self.temperature).sum()))


@dataclass(frozen=True, slots=True)
class NumpySnapshot:
    """What was written into a row was made of these. Implements `RowSnapshot`."""

    made: EditArrays
    values: Logits
    barred: Logits | None
    share: float

    def refused(self) -> tuple[float, NDArray[np.floating]]:
        assert self.barred is not None  # asked for only if something was refused
        return self.share, self.barred

    def sources(self, token: int) -> NDArray[np.floating]:
        cell = self.made.kept + self.made.made.index(token)
        found: Logits = self.values[self.made.owners == cell]
        return found
