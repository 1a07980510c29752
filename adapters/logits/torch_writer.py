"""Writes the edits of a batch into logits, on the device: one gather, one indexed write.

`logits.reference.edited` is the reference; a test compares the two.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from thinkpace.adapters.logits.edit_arrays import EditArrays, PerEditCache, cells
from thinkpace.adapters.logits.to_device import to_device
from thinkpace.processors.core.edit import Edit

PLANS = 4  # cached batches of edits: prose alternates between inside and outside of words
WIDE = 1 << 20  # a plan with more sources than this is not cached
MANY = 1024  # if more ids than this are merged into one token, or dropped, whole rows are processed
CACHED_TABLES = 32  # cached tensors of wide edits, each about the size of two rows
FORCED_LOGIT = 3e4  # above every other score; finite in half precision


@dataclass(frozen=True, slots=True)
class _Parts:
    """An edit in two parts: a table for its wide changes, cells for the rest.

    Args:
        many: merged ids with many sources, handled by the table.
        wide: whether there is a table.
        cells: the rest.
    """

    many: tuple[int, ...]
    wide: bool
    cells: EditArrays


def _parts(edit: Edit) -> _Parts:
    sizes = {i: len(sources) for i, sources in edit.merged.items() if edit.forced is None}
    many = tuple(i for i, size in sizes.items() if size > MANY)
    drops_many = len(edit.dropped) > MANY
    return _Parts(many, bool(many) or drops_many, cells(edit, without=many, dropped=not drops_many))


@dataclass(frozen=True, slots=True)
class _Table:
    """The changes of an edit to most of the vocabulary, as tensors on the device."""

    edit: Edit
    device: torch.device
    floor: torch.Tensor | None  # Float[vocabulary], added to the row: -inf for dropped ids
    sources: tuple[tuple[int, torch.Tensor, torch.Tensor | None], ...]  # (merged id, source ids, their biases if any)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A batch of edits as tensors on the device."""

    edits: tuple[tuple[int, Edit], ...]
    temperatures: tuple[float, ...] | None  # temperature per edit, if they differ
    temperature: torch.Tensor | None  # (cells,), temperature per cell
    tables: dict[int, _Table]  # row -> table, for wide edits
    made: list[tuple[int, ...]]  # per edit: the merged ids
    offsets: list[int]  # per edit: index of its first merged cell
    rows: torch.Tensor  # (cells,)
    ids: torch.Tensor  # (cells,)
    source_rows: torch.Tensor  # (sources,)
    sources: torch.Tensor  # (sources,)
    biases: torch.Tensor  # (sources,)
    owners: torch.Tensor  # (sources,)
    one_to_one: bool  # whether source i is the only source of cell i
    limited: torch.Tensor | None  # rows in which all unwritten ids are dropped
    certain: torch.Tensor | None  # (cells,), whether the edit forces a token


class ScoreWriter:
    """Writes edits into scores in place. Caches the arrays of edits, which are few objects that recur.

    Args:
        size: ids from here on are unused; their scores become -inf.
        temperature: the temperature at which the scores are sampled; 0 for greedy and beams.
        unused: further unused ids, below `size`.
        beams: whether beam search may add up the scores: then a token that comes for certain keeps its score and the
            rest of its row is dropped. Otherwise its score is set higher than any other: one cell is written instead
            of a row.
    """

    __slots__ = (
        "_barred",
        "_barred_of",
        "_never",
        "_parts",
        "_plans",
        "_tables",
        "_unused",
        "beams",
        "size",
        "temperature",
    )

    def __init__(self, size: int, temperature: float, unused: Iterable[int] = (), *, beams: bool = True) -> None:
        self.size = size
        self.beams = beams
        self.temperature = temperature
        self._unused = torch.tensor(sorted(unused), dtype=torch.long)
        self._never = torch.tensor(-torch.inf)
        self._barred: torch.Tensor | None = None  # all unused ids, for scores of (width, device) `_barred_of`
        self._barred_of: tuple[int, torch.device] | None = None
        self._parts: PerEditCache[_Parts] = PerEditCache(_parts)
        self._plans: deque[_Plan] = deque(maxlen=PLANS)
        self._tables: dict[int, _Table] = {}

    def clear(self, scores: torch.Tensor, rows: torch.Tensor | None = None) -> None:
        """Set the scores of unused ids to -inf.

        Args:
            scores: Float[batch, vocabulary], changed in place.
            rows: Long[some], the rows to change; None for all.
        """
        if rows is not None:
            barred = self._all_barred(scores.shape[1], scores.device)
            if len(barred):
                if (self._never.dtype, self._never.device) != (scores.dtype, scores.device):
                    self._never = scores.new_full((), -torch.inf)  # a number of the host would be copied at every step
                scores.index_put_((rows.unsqueeze(1), barred), self._never)
            return
        if scores.shape[1] > self.size:
            scores[:, self.size :] = -torch.inf
        if len(self._unused):
            self._unused = self._unused.to(scores.device)
            scores.index_fill_(1, self._unused, -torch.inf)

    def _all_barred(self, width: int, device: torch.device) -> torch.Tensor:
        if self._barred is None or self._barred_of != (width, device):
            self._barred = to_device(torch.cat((torch.arange(self.size, width), self._unused.cpu())), device)
            self._barred_of = width, device
        return self._barred

    def write(
        self, scores: torch.Tensor, edits: Sequence[tuple[int, Edit]], temperatures: Sequence[float] | None = None
    ) -> Gathered | None:
        """Apply `edits`, pairs of (row, edit), to `scores`.

        Args:
            scores: Float[batch, vocabulary], changed in place.
            edits: at most one per row; other rows are unchanged.
            temperatures: the temperature of each edited row, if it is not the writer's.

        Returns:
            What attribution needs; None if nothing was written.
        """
        if not edits:
            return None
        temperatures = (
            None if temperatures is None or len({*temperatures, self.temperature}) == 1 else tuple(temperatures)
        )
        plan = self._planned(tuple(edits), temperatures, scores)
        temperature = dict(zip((row for row, _ in edits), temperatures, strict=True)) if temperatures else {}
        values = scores[plan.source_rows, plan.sources] + plan.biases
        wide = {row: _gathered(scores[row], table) for row, table in plan.tables.items()}
        merged = values if plan.one_to_one else self._merged(values, plan)
        barred = {row: _barred(scores[row], edit) for row, edit in edits if edit.redraw}
        if plan.limited is not None:
            scores.index_fill_(0, plan.limited, -torch.inf)
        for row, table in plan.tables.items():
            if table.floor is not None:
                scores[row] += table.floor
        if plan.certain is not None and self.beams:
            # a written token is generated even if another processor has barred it
            merged = merged.masked_fill(torch.isneginf(merged) & plan.certain, 0.0)
        elif plan.certain is not None:
            highest = min(
                max(FORCED_LOGIT, 100 * max(temperatures or (self.temperature,))), torch.finfo(scores.dtype).max / 4
            )
            merged = merged.masked_fill(plan.certain, highest)
        scores.index_put_((plan.rows, plan.ids), merged.to(scores.dtype))
        for row, sources in wide.items():
            for token, logits in sources.items():
                scores[row, token] = _as_one(logits, temperature.get(row, self.temperature))
        shares = {
            row: _share(logits, scores[row], temperature.get(row, self.temperature)) for row, logits in barred.items()
        }
        return Gathered(plan, values, wide, barred, shares)

    def _planned(
        self, edits: tuple[tuple[int, Edit], ...], temperatures: tuple[float, ...] | None, scores: torch.Tensor
    ) -> _Plan:
        device = scores.device
        for plan in self._plans:
            if plan.ids.device == device and plan.temperatures == temperatures and _same(plan.edits, edits):
                return plan
        parts = [self._parts(edit) for _, edit in edits]
        row_cells = [(row, part.cells) for (row, _), part in zip(edits, parts, strict=True)]
        sizes = [len(cells.ids) for _, cells in row_cells]
        offsets = np.concatenate(([0], np.cumsum(sizes)))[:-1].tolist()
        rows = np.repeat([row for row, _ in row_cells], sizes)
        ids = np.concatenate([cells.ids for _, cells in row_cells])
        source_rows = np.repeat([row for row, _ in row_cells], [len(cells.sources) for _, cells in row_cells])
        sources = np.concatenate([cells.sources for _, cells in row_cells])
        owners = np.concatenate([cells.owners + at for (_, cells), at in zip(row_cells, offsets, strict=True)])
        biases = np.concatenate([cells.biases for _, cells in row_cells])
        limited = [row for row, edit in edits if edit.only is not None and (self.beams or edit.forced is None)]
        forced = [edit.forced is not None for _, edit in edits]

        def on_device(array: NDArray[np.generic]) -> torch.Tensor:
            return to_device(torch.from_numpy(array), device)

        plan = _Plan(
            edits=edits,
            temperatures=temperatures,
            temperature=on_device(np.repeat(np.array(temperatures), sizes)) if temperatures else None,
            tables={
                row: self._table(edit, part.many, scores)
                for (row, edit), part in zip(edits, parts, strict=True)
                if part.wide
            },
            made=[cells.made for _, cells in row_cells],
            offsets=[at + cells.kept for at, (_, cells) in zip(offsets, row_cells, strict=True)],
            rows=on_device(rows),
            ids=on_device(ids),
            source_rows=on_device(source_rows),
            sources=on_device(sources),
            biases=on_device(biases),
            owners=on_device(owners),
            one_to_one=len(owners) == len(ids) and bool((owners == np.arange(len(ids))).all()),
            limited=to_device(torch.tensor(limited), device) if limited else None,
            certain=on_device(np.repeat(forced, sizes)) if any(forced) else None,
        )
        if len(sources) < WIDE:
            self._plans.appendleft(plan)
        return plan

    def _table(self, edit: Edit, many: tuple[int, ...], scores: torch.Tensor) -> _Table:
        cached = self._tables.get(id(edit))
        if cached is not None and cached.device == scores.device:
            return cached
        floor = None
        if len(edit.dropped) > MANY:
            floor = torch.zeros(scores.shape[1], device=scores.device)
            floor.index_fill_(0, to_device(torch.tensor(sorted(edit.dropped)), scores.device), -torch.inf)
        sources = tuple(
            (
                token,
                to_device(torch.tensor([i for i, _ in edit.merged[token]]), scores.device),
                to_device(torch.tensor([b for _, b in edit.merged[token]]), scores.device)
                if any(b for _, b in edit.merged[token])
                else None,
            )
            for token in many
        )
        if len(self._tables) >= CACHED_TABLES:
            self._tables.clear()
        self._tables[id(edit)] = _Table(edit, scores.device, floor, sources)
        return self._tables[id(edit)]

    def _merged(self, values: torch.Tensor, plan: _Plan) -> torch.Tensor:
        """T * logsumexp(values / T) of every cell, the maximum at temperature 0; -inf for cells without sources."""
        top = torch.full((len(plan.ids),), -torch.inf, dtype=values.dtype, device=values.device)
        top.scatter_reduce_(0, plan.owners, values, "amax")
        if plan.temperature is None and self.temperature == 0:
            return top
        base = torch.where(torch.isneginf(top), 0.0, top)
        if plan.temperature is None:
            weights = torch.exp((values - base[plan.owners]) / self.temperature)
            return base + self.temperature * torch.zeros_like(top).index_add_(0, plan.owners, weights).log()
        cold = plan.temperature == 0
        temperature = plan.temperature.masked_fill(cold, 1.0).to(values.dtype)
        weights = torch.exp((values - base[plan.owners]) / temperature[plan.owners])
        return torch.where(
            cold, top, base + temperature * torch.zeros_like(top).index_add_(0, plan.owners, weights).log()
        )


def _same(one: Sequence[tuple[int, Edit]], other: Sequence[tuple[int, Edit]]) -> bool:
    """Whether two batches hold the same edit objects in the same rows."""
    return len(one) == len(other) and all(a[0] == b[0] and a[1] is b[1] for a, b in zip(one, other, strict=True))


def _gathered(row: torch.Tensor, table: _Table) -> dict[int, torch.Tensor]:
    """For every merged id of the table, the logits of its sources."""
    logits = {token: row.index_select(0, ids) for token, ids, _ in table.sources}
    return {token: logits[token] if biases is None else logits[token] + biases for token, _, biases in table.sources}


def _share(barred: torch.Tensor, row: torch.Tensor, temperature: float) -> torch.Tensor:
    """The probability of the barred logits relative to an edited row; reads the full row, for `redraw` only."""
    if temperature == 0:
        return (barred.max() > row.max()).double()
    refused = torch.logsumexp(barred.double() / temperature, 0)
    return torch.sigmoid(refused - torch.logsumexp(row.double() / temperature, 0))


def _as_one(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """T * logsumexp(logits / T), the maximum at temperature 0; several times faster than torch's logsumexp."""
    top = logits.max()
    if temperature == 0:
        return top
    base = torch.where(torch.isneginf(top), 0.0, top)
    return base + temperature * ((logits - base) / temperature).exp_().sum().log_()


def _barred(row: torch.Tensor, edit: Edit) -> torch.Tensor:
    ids = sorted(edit.redraw)
    biases = to_device(torch.tensor([edit.bias.get(i, 0.0) for i in ids]), row.device)
    return row.index_select(0, to_device(torch.tensor(ids), row.device)) + biases


@dataclass(frozen=True, slots=True)
class Gathered:
    """The values before a write; stays on the device until it is read.

    Args:
        plan: the plan of the write.
        values: Float[sources], biases included.
        wide: row -> merged id -> logits of its many sources, biases included.
        barred: row -> logits of its refused ids, in order.
        shares: row -> probability of a refused id.
    """

    plan: _Plan
    values: torch.Tensor
    wide: dict[int, dict[int, torch.Tensor]]
    barred: dict[int, torch.Tensor]
    shares: dict[int, torch.Tensor]


@dataclass(slots=True)  # not frozen: one is created per row and step, and frozen ones take three times as long
class TorchSnapshot:
    """One row of a write. Implements `RowSnapshot`."""

    gathered: Gathered
    place: int  # index in the plan
    row: int

    def refused(self) -> tuple[float, NDArray[np.float64]]:
        logits = self.gathered.barred[self.row].double().cpu().numpy()
        return float(self.gathered.shares[self.row]), logits

    def sources(self, token: int) -> NDArray[np.floating]:
        plan = self.gathered.plan
        many = self.gathered.wide.get(self.row, {}).get(token)
        if many is not None:
            return many.float().cpu().numpy()
        cell = plan.offsets[self.place] + plan.made[self.place].index(token)
        return self.gathered.values[plan.owners == cell].double().cpu().numpy()
