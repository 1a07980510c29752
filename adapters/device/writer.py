"""Writes edits into the logits of many rows on the device, one step of an edit after the other.

`logits.reference.edited` is the reference. Where probability is moved or refused, attribution is drawn here, in
advance for every possible token: when the token is known, the logits are no longer available.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from thinkpace.adapters.device.columns import Ids, Mask
from thinkpace.adapters.device.machine import EditStep
from thinkpace.adapters.device.tables import Masks

FORCED_LOGIT = 3e4  # above every other logit


class Drawn(NamedTuple):
    """Attribution drawn in advance, before the token is known.

    Args:
        refused: Long[rows], the id that was drawn and refused; -1 for none.
        targets: Long[rows, moves], ids that probability was moved onto; -1 for none.
        origins: Long[rows, moves], the id really drawn if the target is generated.
    """

    refused: Ids
    targets: torch.Tensor
    origins: torch.Tensor

    def of(self, token: Ids) -> tuple[Ids, Mask]:
        """(the id really drawn where `token` was generated, whether that id was refused)."""
        redrawn = self.refused >= 0
        drawn = token
        for move in range(self.targets.shape[1]):  # later origins already resolve earlier moves
            drawn = torch.where(self.targets[:, move] == token, self.origins[:, move], drawn)
        return torch.where(redrawn, self.refused, drawn), redrawn & (self.refused != token)


def uniform(seed: Ids, position: Ids, purpose: int) -> torch.Tensor:
    """Numbers in [0, 1) that depend only on the arguments: Double[rows]. Differs from `logits.randomness.uniform`.

    Source: the finalizer of splitmix64 (Steele, Lea and Flood, OOPSLA 2014), twice.
    """
    mixed = seed
    for salt in (position, torch.full_like(position, purpose)):
        mixed = mixed + (salt + 1) * -7046029254386353131  # 0x9E3779B97F4A7C15, modulo 2^64
        mixed = (mixed ^ _shifted(mixed, 30)) * -4658895280553007687
        mixed = (mixed ^ _shifted(mixed, 27)) * -7723592293110705685
        mixed = mixed ^ _shifted(mixed, 31)
    return _shifted(mixed, 11).double() / (1 << 53)


def _shifted(number: Ids, bits: int) -> Ids:
    """Logical shift to the right."""
    return (number >> bits) & ((1 << (64 - bits)) - 1)


def write(
    logits: torch.Tensor,
    rows: Ids,
    writes: Sequence[EditStep],
    temperature: torch.Tensor,
    chance: Sequence[torch.Tensor],
) -> Drawn:
    """Apply an edit to some rows.

    Args:
        logits: Float[all rows, vocabulary], changed in place.
        rows: indices of the rows to edit; an index may repeat only if no step changes its row.
        writes: the steps of the edit, in columns of `rows`.
        temperature: Double[rows], the temperatures; 0 for greedy.
        chance: random numbers in [0, 1), Double[rows]: one per step, and one for refusals.
    """
    refused = logits.new_zeros((len(rows), 0)), rows.new_zeros((len(rows), 0))
    targets, origins = list[Ids](), list[Ids]()
    at = rows.unsqueeze(1)
    for step, u in zip(writes, chance, strict=False):
        if isinstance(step.sets, Masks):  # "only"
            free = (step.which == 0).unsqueeze(1)
            allowed = step.sets.of(step.which) | free
            whole = logits[rows]
            whole[:, : allowed.shape[1]].masked_fill_(~allowed, -torch.inf)
            whole[:, allowed.shape[1] :].masked_fill_(~free, -torch.inf)
            logits[rows] = whole
            continue
        ids, counts = step.sets.of(step.which)
        some = counts[:, :1]
        values = logits[at, ids]
        if step.kind == "bias":
            logits[at, ids] = torch.where(some, values + step.value.to(values.dtype).unsqueeze(1), values)
            continue
        members = values.masked_fill(~counts, -torch.inf)
        logits[at, ids] = torch.where(some, -torch.inf, values)
        if step.kind == "redraw":
            refused = members, ids
        elif step.kind == "redirect":
            target = torch.where(some.squeeze(1), step.value, -1)
            before = logits[rows, target.clamp(min=0)]
            sources = torch.cat((before.unsqueeze(1), members), 1)
            source_ids = torch.cat((target.clamp(min=0).unsqueeze(1), ids), 1)
            origin = source_ids.gather(1, _chosen(sources, temperature, u).unsqueeze(1)).squeeze(1)
            for earlier, came_from in zip(targets, origins, strict=True):
                origin = torch.where(origin == earlier, came_from, origin)
            merged = torch.where(some.squeeze(1), _merged(sources, temperature).to(before.dtype), before)
            logits[rows, target.clamp(min=0)] = merged
            targets.append(target)
            origins.append(origin)
    redrawn = _refused(logits, rows, *refused, temperature, chance[len(writes)])
    return Drawn(redrawn, _stacked(targets, rows), _stacked(origins, rows))


def _stacked(columns: Sequence[Ids], rows: Ids) -> torch.Tensor:
    return torch.stack(list(columns), 1) if columns else rows.new_zeros((len(rows), 0))


def _refused(
    logits: torch.Tensor,
    rows: Ids,
    members: torch.Tensor,
    ids: torch.Tensor,
    temperature: torch.Tensor,
    u: torch.Tensor,
) -> Ids:
    """The ids that were drawn first and refused; -1 where none was."""
    if not members.shape[1]:
        return torch.full_like(rows, -1)
    rest = torch.cat((_merged(members, temperature).unsqueeze(1), _merged(logits[rows], temperature).unsqueeze(1)), 1)
    cold = (rest[:, 0] > rest[:, 1]).double()
    share = torch.where(temperature == 0, cold, torch.softmax(rest / _warm(temperature), 1)[:, 0])
    share = torch.where(torch.isneginf(rest[:, 0]), 0.0, share)
    place = _chosen(members, temperature, u / share.clamp(min=1e-300))
    return torch.where(u < share, ids.gather(1, place.unsqueeze(1)).squeeze(1), -1)


def _warm(temperature: torch.Tensor) -> torch.Tensor:
    return torch.where(temperature == 0, 1.0, temperature).unsqueeze(1)


def _merged(values: torch.Tensor, temperature: torch.Tensor) -> torch.Tensor:
    """T * logsumexp(values / T) of every row, the maximum at temperature 0; Double[rows]."""
    warm = _warm(temperature)
    return torch.where(
        temperature == 0, values.amax(1).double(), torch.logsumexp(values.double() / warm, 1) * warm.squeeze(1)
    )


def _chosen(values: torch.Tensor, temperature: torch.Tensor, u: torch.Tensor) -> Ids:
    """An index per row drawn by weight; at temperature 0 that of the maximum."""
    top = values.amax(1, keepdim=True).double()
    weights = torch.exp((values.double() - torch.where(torch.isneginf(top), 0.0, top)) / _warm(temperature))
    share = weights.cumsum(1)
    place = (share <= (u * share[:, -1]).unsqueeze(1)).sum(1).clamp(max=values.shape[1] - 1)
    return torch.where(temperature == 0, values.argmax(1), place)
