"""Writes edits into single rows of logits, in place, for engines that present one row at a time.

`logits.reference.edited` is the reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thinkpace.adapters.logits.edit_arrays import EditArrays, PerEditCache, cells
from thinkpace.processors.core.edit import Edit

Logits = NDArray[np.float32]


# Finite, so that later penalties cannot make it NaN. Not larger, because llama.cpp sorts into buckets whose number
# overflows from 3e8 on.
FORCED_LOGIT = np.float32(1e6)  # above every other score


BARRED_LOGIT = -1e6  # never drawn unless all other ids are barred too


class RowWriter:
    """Writes edits into rows.

    Args:
        temperature: the temperature at which the rows are sampled; 0 for greedy.
        barred: the score of barred ids. Make it finite where something else may bar all other ids.
    """

    __slots__ = ("_cells", "barred", "temperature")

    def __init__(self, temperature: float, barred: float = -np.inf) -> None:
        self.temperature = temperature
        self.barred = barred
        self._cells: PerEditCache[EditArrays] = PerEditCache(cells)

    def write(self, row: Logits, edit: Edit) -> NumpySnapshot | None:
        """Apply an edit.

        For a token that comes for certain only its score is written, higher than any other; the rest of the row stays,
        so a later processor (a grammar) can still refuse it.

        Args:
            row: shape (vocabulary,), changed in place; may be a strided view.
            edit: the edit.

        Returns:
            What attribution needs; None if nothing was moved or refused.
        """
        arrays = self._cells(edit)
        written = arrays.kept + len(arrays.made)
        values = row[arrays.sources] + arrays.biases
        barred = row[sorted(edit.redraw)] + np.float32(0) if edit.redraw else None
        if barred is not None:
            barred += np.array([edit.bias.get(i, 0.0) for i in sorted(edit.redraw)], np.float32)
        if edit.forced is not None:
            row[edit.forced] = FORCED_LOGIT
        else:
            if edit.only is not None:
                row[:] = self.barred
            row[arrays.ids[written:]] = self.barred
            if written:
                row[arrays.ids[:written]] = self._merged(values, arrays)
        if barred is None and not edit.redirect:
            return None
        share = 0.0 if barred is None else self._share(barred, row)
        return NumpySnapshot(arrays, values, barred, share)

    def _merged(self, values: Logits, arrays: EditArrays) -> Logits:
        """T * logsumexp(values / T) of the sources of each written id; the maximum at temperature 0."""
        starts = np.flatnonzero(np.diff(arrays.owners, prepend=-1))
        if len(starts) == len(values):
            return values
        top = np.maximum.reduceat(values, starts)
        if self.temperature == 0:
            return top
        base = np.where(np.isneginf(top), np.float32(0), top)
        weights = np.exp((values - base[arrays.owners]) / np.float32(self.temperature))
        with np.errstate(divide="ignore"):
            return np.asarray(base + self.temperature * np.log(np.add.reduceat(weights, starts)), np.float32)

    def _share(self, barred: Logits, row: Logits) -> float:
        """The probability of the refused ids relative to the edited row."""
        if self.temperature == 0:
            return float(barred.max() > row.max())
        top = max(barred.max(), row.max())
        refused = np.exp((barred.astype(np.float64) - top) / self.temperature).sum()
        return float(refused / (refused + np.exp((row.astype(np.float64) - top) / self.temperature).sum()))


@dataclass(frozen=True, slots=True)
class NumpySnapshot:
    """The values before an edit. Implements `RowSnapshot`."""

    made: EditArrays
    values: Logits
    barred: Logits | None
    share: float

    def refused(self) -> tuple[float, NDArray[np.floating]]:
        assert self.barred is not None  # called only if something was refused
        return self.share, self.barred

    def sources(self, token: int) -> NDArray[np.floating]:
        cell = self.made.kept + self.made.made.index(token)
        logits: Logits = self.values[self.made.owners == cell]
        return logits
