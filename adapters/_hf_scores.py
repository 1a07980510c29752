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

from thinkpace.processors.edit import KNOWN_EDITS, Edit

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]


PLANS = 4  # batches of edits that are kept: prose goes to and fro between inside and outside of words
WIDE = 1 << 20  # sources of a batch above which its plan is not kept
CERTAIN = 3e4  # a score that nothing else has; finite, and within half precision


@dataclass(frozen=True, slots=True)
class _Cells:
    """An edit as arrays: the ids that are written, the last of them without any source, and what each is made of."""

    ids: Ids  # (cells,)
    sources: Ids  # (sources,), in the order of their cells
    biases: Floats  # (sources,)
    owners: Ids  # (sources,), the place in `ids`


@dataclass(frozen=True, slots=True)
class _Plan:
    """A batch of edits as tensors on the device."""

    edits: tuple[tuple[int, Edit], ...]
    offsets: list[int]  # of each row's cells
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

    __slots__ = ("_known", "_plans", "_unused", "beams", "size", "temperature")

    def __init__(self, size: int, temperature: float, unused: Iterable[int] = (), *, beams: bool = True) -> None:
        self.size = size
        self.beams = beams
        self.temperature = temperature
        self._unused = torch.tensor(sorted(unused), dtype=torch.long)
        self._known: dict[int, tuple[Edit, _Cells]] = {}
        self._plans: deque[_Plan] = deque(maxlen=PLANS)

    def clear(self, scores: torch.Tensor) -> None:
        """Bar the ids that stand for nothing.

        Args:
            scores: Float[batch, vocabulary], changed in place.
        """
        if scores.shape[1] > self.size:
            scores[:, self.size :] = -torch.inf
        if len(self._unused):
            self._unused = self._unused.to(scores.device)
            scores.index_fill_(1, self._unused, -torch.inf)

    def write(self, scores: torch.Tensor, edits: Sequence[tuple[int, Edit]]) -> Gathered | None:
        """Apply `edits`, pairs of (row, edit), to `scores`.

        Args:
            scores: Float[batch, vocabulary], changed in place.
            edits: at most one per row; rows left out stay as they are.

        Returns:
            What the written cells were made of, for telling later where a moved token came from; None if nothing was
            written.
        """
        if not edits:
            return None
        plan = self._planned(tuple(edits), scores.device)
        values = scores[plan.source_rows, plan.sources] + plan.biases
        merged = values if plan.one_to_one else self._merged(values, plan)
        barred = {row: _barred(scores[row], edit) for row, edit in edits if edit.redraw}
        if plan.limited is not None:
            scores.index_fill_(0, plan.limited, -torch.inf)
        if plan.certain is not None and self.beams:
            # a written token comes even if another processor has barred it
            merged = merged.masked_fill(torch.isneginf(merged) & plan.certain, 0.0)
        elif plan.certain is not None:
            highest = min(max(CERTAIN, 100 * self.temperature), torch.finfo(scores.dtype).max / 4)
            merged = merged.masked_fill(plan.certain, highest)
        scores.index_put_((plan.rows, plan.ids), merged.to(scores.dtype))
        shares = {row: self._share(logits, scores[row]) for row, logits in barred.items()}
        return Gathered(plan, values, barred, shares)

    def _planned(self, edits: tuple[tuple[int, Edit], ...], device: torch.device) -> _Plan:
        for plan in self._plans:
            if plan.ids.device == device and _same(plan.edits, edits):
                return plan
        found = [(row, self._cells(edit)) for row, edit in edits]
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
            edits,
            offsets,
            there(rows),
            there(ids),
            there(source_rows),
            there(sources),
            there(biases),
            there(owners),
            len(owners) == len(ids) and bool((owners == np.arange(len(ids))).all()),
            torch.tensor(limited, device=device) if limited else None,
            there(np.repeat(forced, sizes)) if any(forced) else None,
        )
        if len(sources) < WIDE:
            self._plans.appendleft(plan)
        return plan

    def _cells(self, edit: Edit) -> _Cells:
        known = self._known.get(id(edit))
        if known is not None:
            return known[1]
        single = np.array(sorted(edit.kept), dtype=np.int64)  # ids that keep their own weight
        made = [(i, sources) for i, sources in edit.merged.items()]
        pairs = [pair for _, sources in made for pair in sources]
        counts = [len(sources) for _, sources in made]
        cells = _Cells(
            np.concatenate(
                (single, np.array([i for i, _ in made], dtype=np.int64), np.array(sorted(edit.dropped), dtype=np.int64))
            ),
            np.concatenate((single, np.array([i for i, _ in pairs], dtype=np.int64))),
            np.concatenate((np.zeros(len(single), np.float32), np.array([b for _, b in pairs], dtype=np.float32))),
            np.concatenate((np.arange(len(single)), np.repeat(np.arange(len(made)) + len(single), counts))),
        )
        if len(self._known) > KNOWN_EDITS:
            self._known.clear()
        self._known[id(edit)] = (edit, cells)
        return cells

    def _merged(self, values: torch.Tensor, plan: _Plan) -> torch.Tensor:
        """T * logsumexp(values / T) of every cell, the largest at temperature 0, -inf for cells of nothing."""
        top = torch.full((len(plan.ids),), -torch.inf, dtype=values.dtype, device=values.device)
        top.scatter_reduce_(0, plan.owners, values, "amax")
        if self.temperature == 0:
            return top
        base = torch.where(torch.isneginf(top), 0.0, top)
        weights = torch.exp((values - base[plan.owners]) / self.temperature)
        return base + self.temperature * torch.zeros_like(top).index_add_(0, plan.owners, weights).log()

    def _share(self, barred: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
        """The probability of the barred logits beside an edited row; dense over the row, only while refusals count."""
        if self.temperature == 0:
            return (barred.max() > row.max()).double()
        refused = torch.logsumexp(barred.double() / self.temperature, 0)
        return torch.sigmoid(refused - torch.logsumexp(row.double() / self.temperature, 0))


def _same(one: Sequence[tuple[int, Edit]], other: Sequence[tuple[int, Edit]]) -> bool:
    """Whether two batches hold the same edit objects in the same rows."""
    return len(one) == len(other) and all(a[0] == b[0] and a[1] is b[1] for a, b in zip(one, other, strict=True))


def _barred(row: torch.Tensor, edit: Edit) -> torch.Tensor:
    ids = sorted(edit.redraw)
    return row[ids] + torch.tensor([edit.bias.get(i, 0.0) for i in ids], device=row.device)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a write was made of; stays on the device until somebody asks.

    Args:
        plan: what was written.
        values: Float[sources], with their biases.
        barred: row -> logits of its refused ids, in their order.
        shares: row -> probability of a refused id.
    """

    plan: _Plan
    values: torch.Tensor
    barred: dict[int, torch.Tensor]
    shares: dict[int, torch.Tensor]


@dataclass(slots=True)  # not frozen: one is made per row and step, and a frozen one takes three times as long
class SeenScores:
    """One row of a write. Implements `Seen`."""

    gathered: Gathered
    place: int  # in the plan
    row: int

    def refused(self) -> tuple[float, NDArray[np.float64]]:
        logits = self.gathered.barred[self.row].double().cpu().numpy()
        return float(self.gathered.shares[self.row]), logits

    def sources(self, token: int) -> NDArray[np.float64]:
        plan = self.gathered.plan
        edit = plan.edits[self.place][1]
        cell = plan.offsets[self.place] + len(edit.kept) + list(edit.merged).index(token)
        return self.gathered.values[plan.owners == cell].double().cpu().numpy()


def measured(scores: torch.Tensor, kind: str, closes: Sequence[Sequence[int]]) -> list[float]:
    """A number about each row at temperature 1, as `_rows.measured`.

    Args:
        scores: Float[rows, vocabulary], before any edit.
        kind: "entropy", "top_probability" or "close_margin".
        closes: for each row, the ids that close thinking.
    """
    logs = torch.log_softmax(scores.double(), 1)
    if kind == "entropy":
        found = -(logs.exp() * logs.masked_fill(torch.isneginf(logs), 0.0)).sum(1)
    elif kind == "top_probability":
        found = logs.amax(1).exp()
    else:
        likeliest = [
            logs[row, list(ids)].amax() if ids else logs.new_tensor(-torch.inf) for row, ids in enumerate(closes)
        ]
        found = logs.amax(1) - torch.stack(likeliest)
    return [float(number) for number in found.tolist()]
