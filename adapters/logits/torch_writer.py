"""Edits of a batch into logits, on the device: one gather, one indexed write.

`_rows.edited` is the reference; a test holds the two together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from thinkpace.adapters.logits.edit_arrays import EditArrays, PerEditCache, cells
from thinkpace.processors.core.edit import Edit

PLANS = 4  # batches of edits that are kept: prose goes to and fro between inside and outside of words
WIDE = 1 << 20  # sources of a batch above which its plan is not kept
MANY = 1024  # ids that one token is made of, or that are dropped: from here on whole rows are worked on
TABLES = 32  # wide edits whose tensors are kept, each about the size of two rows
FORCED_LOGIT = 3e4  # a score that nothing else has; finite, and within half precision


@dataclass(frozen=True, slots=True)
class _Parts:
    """An edit in two parts.

    Args:
        many: ids that are made of many, left to the table.
        wide: whether there is a table.
        cells: all that is not left to it.
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
    """What an edit does to most of the vocabulary, as tensors on the device; the rest of it are cells."""

    edit: Edit
    device: torch.device
    floor: torch.Tensor | None  # Float[vocabulary], added to the row: -inf for what is dropped
    sources: tuple[tuple[int, torch.Tensor, torch.Tensor | None], ...]  # (id, ids it is made of, their biases if any)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A batch of edits as tensors on the device."""

    edits: tuple[tuple[int, Edit], ...]
    temperatures: tuple[float, ...] | None  # temperatures of their rows, where these differ
    temperature: torch.Tensor | None  # (cells,), of these
    tables: dict[int, _Table]  # of rows with wide edits
    made: list[tuple[int, ...]]  # of each row, the ids whose cells are merged
    offsets: list[int]  # of the first of these cells
    rows: torch.Tensor  # (cells,)
    ids: torch.Tensor  # (cells,)
    source_rows: torch.Tensor  # (sources,)
    sources: torch.Tensor  # (sources,)
    biases: torch.Tensor  # (sources,)
    owners: torch.Tensor  # (sources,)
    one_to_one: bool  # whether cell i is made of source i alone
    limited: torch.Tensor | None  # rows where all else is dropped
    certain: torch.Tensor | None  # (cells,), of rows where one token comes for certain


class ScoreWriter:
    """Writes edits into scores in place. Edits are few objects used again and again: their arrays are kept.

    Args:
        size: ids from here on stand for nothing; their scores become -inf.
        temperature: that the scores will be sampled at; 0 for greedy and beams.
        unused: ids below `size` that stand for nothing either.
        beams: whether the scores may be those of beams, which are added up: then a token that comes for certain keeps
            its score and the rest of its row is dropped. Otherwise it gets a score that nothing else has: one cell
            is written instead of a row.
    """

    __slots__ = ("_barred", "_barred_of", "_parts", "_plans", "_tables", "_unused", "beams", "size", "temperature")

    def __init__(self, size: int, temperature: float, unused: Iterable[int] = (), *, beams: bool = True) -> None:
        self.size = size
        self.beams = beams
        self.temperature = temperature
        self._unused = torch.tensor(sorted(unused), dtype=torch.long)
        self._barred: torch.Tensor | None = None  # all ids that stand for nothing, for scores of `_barred_of`
        self._barred_of: tuple[int, torch.device] | None = None
        self._parts: PerEditCache[_Parts] = PerEditCache(_parts)
        self._plans: deque[_Plan] = deque(maxlen=PLANS)
        self._tables: dict[int, _Table] = {}

    def clear(self, scores: torch.Tensor, rows: torch.Tensor | None = None) -> None:
        """Bar the ids that stand for nothing.

        Args:
            scores: Float[batch, vocabulary], changed in place.
            rows: Long[some], where; None for everywhere.
        """
        if rows is not None:
            barred = self._all_barred(scores.shape[1], scores.device)
            if len(barred):
                scores[rows.unsqueeze(1), barred] = -torch.inf
            return
        if scores.shape[1] > self.size:
            scores[:, self.size :] = -torch.inf
        if len(self._unused):
            self._unused = self._unused.to(scores.device)
            scores.index_fill_(1, self._unused, -torch.inf)

    def _all_barred(self, width: int, device: torch.device) -> torch.Tensor:
        if self._barred is None or self._barred_of != (width, device):
            self._barred = torch.cat((torch.arange(self.size, width), self._unused.cpu())).to(device)
            self._barred_of = width, device
        return self._barred

    def write(
        self, scores: torch.Tensor, edits: Sequence[tuple[int, Edit]], temperatures: Sequence[float] | None = None
    ) -> Gathered | None:
        """Apply `edits`, pairs of (row, edit), to `scores`.

        Args:
            scores: Float[batch, vocabulary], changed in place.
            edits: at most one per row; rows left out stay as they are.
            heats: the temperature of each edited row, if it is not the writer's.

        Returns:
            What the written cells were made of, for telling later where a moved token came from; None if nothing was
            written.
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
            # a written token comes even if another processor has barred it
            merged = merged.masked_fill(torch.isneginf(merged) & plan.certain, 0.0)
        elif plan.certain is not None:
            highest = min(
                max(FORCED_LOGIT, 100 * max(temperatures or (self.temperature,))), torch.finfo(scores.dtype).max / 4
            )
            merged = merged.masked_fill(plan.certain, highest)
        scores.index_put_((plan.rows, plan.ids), merged.to(scores.dtype))
        for row, made in wide.items():
            for token, logits in made.items():
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
        found = [(row, part.cells) for (row, _), part in zip(edits, parts, strict=True)]
        sizes = [len(cells.ids) for _, cells in found]
        offsets = np.concatenate(([0], np.cumsum(sizes)))[:-1].tolist()
        rows = np.repeat([row for row, _ in found], sizes)
        ids = np.concatenate([cells.ids for _, cells in found])
        source_rows = np.repeat([row for row, _ in found], [len(cells.sources) for _, cells in found])
        sources = np.concatenate([cells.sources for _, cells in found])
        owners = np.concatenate([cells.owners + at for (_, cells), at in zip(found, offsets, strict=True)])
        biases = np.concatenate([cells.biases for _, cells in found])
        limited = [row for row, edit in edits if edit.only is not None and (self.beams or edit.forced is None)]
        forced = [edit.forced is not None for _, edit in edits]

        def there(array: NDArray[np.generic]) -> torch.Tensor:
            return torch.from_numpy(array).to(device, non_blocking=True)

        plan = _Plan(
            edits=edits,
            temperatures=temperatures,
            temperature=there(np.repeat(np.array(temperatures), sizes)) if temperatures else None,
            tables={
                row: self._table(edit, part.many, scores)
                for (row, edit), part in zip(edits, parts, strict=True)
                if part.wide
            },
            made=[cells.made for _, cells in found],
            offsets=[at + cells.kept for at, (_, cells) in zip(offsets, found, strict=True)],
            rows=there(rows),
            ids=there(ids),
            source_rows=there(source_rows),
            sources=there(sources),
            biases=there(biases),
            owners=there(owners),
            one_to_one=len(owners) == len(ids) and bool((owners == np.arange(len(ids))).all()),
            limited=torch.tensor(limited, device=device) if limited else None,
            certain=there(np.repeat(forced, sizes)) if any(forced) else None,
        )
        if len(sources) < WIDE:
            self._plans.appendleft(plan)
        return plan

    def _table(self, edit: Edit, many: tuple[int, ...], scores: torch.Tensor) -> _Table:
        known = self._tables.get(id(edit))
        if known is not None and known.device == scores.device:
            return known
        floor = None
        if len(edit.dropped) > MANY:
            floor = torch.zeros(scores.shape[1], device=scores.device)
            floor[sorted(edit.dropped)] = -torch.inf
        sources = tuple(
            (
                token,
                torch.tensor([i for i, _ in edit.merged[token]], device=scores.device),
                torch.tensor([b for _, b in edit.merged[token]], device=scores.device)
                if any(b for _, b in edit.merged[token])
                else None,
            )
            for token in many
        )
        if len(self._tables) >= TABLES:
            self._tables.clear()
        self._tables[id(edit)] = _Table(edit, scores.device, floor, sources)
        return self._tables[id(edit)]

    def _merged(self, values: torch.Tensor, plan: _Plan) -> torch.Tensor:
        """T * logsumexp(values / T) of every cell, the largest at temperature 0, -inf for cells of nothing."""
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
    """For every id that is made of many, their logits."""
    found = {token: row.index_select(0, ids) for token, ids, _ in table.sources}
    return {token: found[token] if biases is None else found[token] + biases for token, _, biases in table.sources}


def _share(barred: torch.Tensor, row: torch.Tensor, temperature: float) -> torch.Tensor:
    """The probability of the barred logits beside an edited row; dense over the row, only while refusals count."""
    if temperature == 0:
        return (barred.max() > row.max()).double()
    refused = torch.logsumexp(barred.double() / temperature, 0)
    return torch.sigmoid(refused - torch.logsumexp(row.double() / temperature, 0))


def _as_one(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """T * logsumexp(logits / T), the largest at temperature 0; torch's own logsumexp takes several times as long."""
    top = logits.max()
    if temperature == 0:
        return top
    base = torch.where(torch.isneginf(top), 0.0, top)
    return base + temperature * ((logits - base) / temperature).exp_().sum().log_()


def _barred(row: torch.Tensor, edit: Edit) -> torch.Tensor:
    ids = sorted(edit.redraw)
    return row[ids] + torch.tensor([edit.bias.get(i, 0.0) for i in ids], device=row.device)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a write was made of; stays on the device until somebody asks.

    Args:
        plan: what was written.
        values: Float[sources], with their biases.
        wide: row -> id -> logits of the many that it is made of, with their biases.
        barred: row -> logits of its refused ids, in their order.
        shares: row -> probability of a refused id.
    """

    plan: _Plan
    values: torch.Tensor
    wide: dict[int, dict[int, torch.Tensor]]
    barred: dict[int, torch.Tensor]
    shares: dict[int, torch.Tensor]


@dataclass(slots=True)  # not frozen: one is made per row and step, and a frozen one takes three times as long
class TorchSnapshot:
    """One row of a write. Implements `RowSnapshot`."""

    gathered: Gathered
    place: int  # in the plan
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
