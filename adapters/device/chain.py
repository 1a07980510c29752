"""Several machines as one, on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from thinkpace.adapters.device.columns import Columns, Ids, Mask
from thinkpace.adapters.device.machine import Decisions, DeviceMachine, KnownStatistics, decisions
from thinkpace.processors.core.decisions import Statistic


class DeviceChain(DeviceMachine):
    """Several machines as one.

    Args:
        parts: in the order of their edits.
    """

    def __init__(self, parts: Sequence[DeviceMachine]) -> None:
        self._parts = tuple(parts)

    def columns(self, states: Sequence[Any], device: torch.device) -> Columns:
        return tuple(part.columns([state[i] for state in states], device) for i, part in enumerate(self._parts))

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        return tuple(
            part.observe(own, before, after, token, drawn) for part, own in zip(self._parts, state, strict=True)
        )

    def wants(self, state: Columns, track: Columns) -> Mapping[Statistic, Mask]:
        found: dict[Statistic, Mask] = {}
        for part, own in zip(self._parts, state, strict=True):
            for kind, mask in part.wants(own, track).items():
                found[kind] = found[kind] | mask if kind in found else mask
        return found

    def receive(self, state: Columns, track: Columns, known: KnownStatistics) -> Columns:
        return tuple(part.receive(own, track, known) for part, own in zip(self._parts, state, strict=True))

    def decide(self, state: Columns, track: Columns) -> Decisions:
        all_ = decisions(track)
        for part, own in zip(self._parts, state, strict=True):
            one = part.decide(own, track)
            conflict = (all_.script >= 0) & (one.script >= 0) & (all_.script != one.script)
            all_ = Decisions(
                torch.where(all_.script < 0, one.script, all_.script),
                all_.close | one.close,
                all_.conflict | one.conflict | conflict,
                (*all_.writes, *one.writes),
            )
        return all_
