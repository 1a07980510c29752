"""Edits of a batch into logits, on the device: one gather, one indexed write.

`_rows.edited` is the reference; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from thinkpace.processors.edit import Edit

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Cells:
    """An edit's cells as arrays: what to write where, from up to k sources each."""

    ids: Ids  # (cells,)
    sources: Ids  # (cells, k)
    biases: NDArray[np.float32]  # (cells, k), -inf where there is no source


class ScoreWriter:
    """Writes edits into scores in place. Edits are few objects used again and again: their arrays are kept.

    Args:
        size: ids from here on stand for nothing; their scores become -inf.
        temperature: that the scores will be sampled at; 0 for greedy and beams.
        unused: ids below `size` that stand for nothing either.
    """

    __slots__ = ("_known", "_unused", "size", "temperature")

    def __init__(self, size: int, temperature: float, unused: Iterable[int] = ()) -> None:
        self.size = size
        self.temperature = temperature
        self._unused = torch.tensor(sorted(unused), dtype=torch.long)
        self._known: dict[int, tuple[Edit, _Cells]] = {}

    def write(self, scores: torch.Tensor, edits: Sequence[tuple[int, Edit]]) -> Gathered | None:
        """Apply `edits`, pairs of (row, edit), to `scores`.

        Args:
            scores: Float[batch, vocabulary], changed in place.
            edits: at most one per row; rows left out stay as they are.

        Returns:
            What the written cells were made of, for telling later where a moved token came from; None if nothing was
            gathered.
        """
        if scores.shape[1] > self.size:
            scores[:, self.size :] = -torch.inf
        if len(self._unused):
            self._unused = self._unused.to(scores.device)
            scores.index_fill_(1, self._unused, -torch.inf)
        if not edits:
            return None
        found = [(row, self._cells(edit)) for row, edit in edits]
        width = max(cells.sources.shape[1] for _, cells in found)
        rows = np.repeat([row for row, _ in found], [len(cells.ids) for _, cells in found])
        ids = np.concatenate([cells.ids for _, cells in found])
        sources = np.concatenate([_widened(cells.sources, width, 0) for _, cells in found])
        biases = np.concatenate([_widened(cells.biases, width, -np.inf) for _, cells in found])
        device = scores.device
        # one copy to the device for all indices: columns are row, id, sources
        index = torch.from_numpy(np.column_stack((rows, ids, sources))).to(device, non_blocking=True)
        at_row, at_id, at_sources = index[:, 0], index[:, 1], index[:, 2:]
        values = scores[at_row[:, None], at_sources] + torch.from_numpy(biases).to(device, non_blocking=True)
        merged = self._merged(values)  # (cells,)
        redrawn = [(row, self._barred(scores[row], edit)) for row, edit in edits if edit.redraw]
        limited = [row for row, edit in edits if edit.only is not None]
        if limited:
            scores.index_fill_(0, torch.tensor(limited, device=device), -torch.inf)
            certain = np.repeat([edit.forced is not None for _, edit in edits], [len(cells.ids) for _, cells in found])
            # a written token comes even if another processor has barred it
            barred = torch.isneginf(merged) & torch.from_numpy(certain).to(device)
            merged = merged.masked_fill(barred, 0.0)
        scores.index_put_((at_row, at_id), merged.to(scores.dtype))
        refused = {row: self._share(barred, scores[row]) for row, barred in redrawn}
        return Gathered(values, rows, ids, refused)

    def _cells(self, edit: Edit) -> _Cells:
        known = self._known.get(id(edit))
        if known is not None:
            return known[1]
        width = max((len(sources) for _, sources in edit.cells), default=1) or 1
        ids = np.array([token for token, _ in edit.cells], dtype=np.int64)
        at = np.zeros((len(ids), width), dtype=np.int64)
        biases = np.full((len(ids), width), -np.inf, dtype=np.float32)
        for i, (_, sources) in enumerate(edit.cells):
            for j, (source, bias) in enumerate(sources):
                at[i, j], biases[i, j] = source, bias
        if len(self._known) > 4096:  # edits made on the fly must not pile up
            self._known.clear()
        self._known[id(edit)] = (edit, _Cells(ids, at, biases))
        return self._known[id(edit)][1]

    def _merged(self, values: torch.Tensor) -> torch.Tensor:
        if values.shape[1] == 1:
            return values[:, 0]
        if self.temperature == 0:
            return values.amax(1)
        return torch.logsumexp(values / self.temperature, 1) * self.temperature

    @staticmethod
    def _barred(row: torch.Tensor, edit: Edit) -> torch.Tensor:
        ids = sorted(edit.redraw)
        return row[ids] + torch.tensor([edit.bias.get(i, 0.0) for i in ids], device=row.device)

    def _share(self, barred: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
        """The probability of the barred logits beside an edited row; dense over the row, only while refusals count."""
        if self.temperature == 0:
            return (barred.max() > row.max()).double()
        refused = torch.logsumexp(barred.double() / self.temperature, 0)
        return torch.sigmoid(refused - torch.logsumexp(row.double() / self.temperature, 0))


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a write was made of; stays on the device until somebody asks.

    Args:
        values: Float[cells, k], the sources of every written cell with their biases.
        rows, ids: (cells,), where each was written.
        refused: row -> probability of a refused id.
    """

    values: torch.Tensor
    rows: Ids
    ids: Ids
    refused: dict[int, torch.Tensor]

    def sources_of(self, row: int, token: int) -> NDArray[np.float64]:
        """The logits that were merged into this token of this row, in the order of the edit's sources."""
        at = int(np.flatnonzero((self.rows == row) & (self.ids == token))[0])
        return self.values[at].double().cpu().numpy()


def _widened(array: NDArray[np.generic], width: int, fill: float) -> NDArray[np.generic]:
    missing = width - array.shape[1]
    return array if not missing else np.pad(array, ((0, 0), (0, missing)), constant_values=fill)
