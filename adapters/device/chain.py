"""Several machines combined into one, on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from thinkpace.adapters.device.columns import Columns, Ids, Mask
from thinkpace.adapters.device.machine import Decisions, DeviceMachine, KnownStatistics, decisions
from thinkpace.processors.core.decisions import Statistic


class DeviceChain(DeviceMachine):
    """Several machines combined into one.

    Args:
        parts: in the order of their edits.
    """

    def __init__(self, parts: Sequence[DeviceMachine]) -> None:
        self._parts = tuple(parts)
        self.holds = any(part.holds for part in parts)

    def columns(self, states: Sequence[Any], device: torch.device) -> Columns:
        return tuple(part.columns([state[i] for state in states], device) for i, part in enumerate(self._parts))

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        return tuple(
            part.observe(inner, before, after, token, drawn) for part, inner in zip(self._parts, state, strict=True)
        )

    def wants(self, state: Columns, track: Columns) -> Mapping[Statistic, Mask]:
        masks: dict[Statistic, Mask] = {}
        for part, inner in zip(self._parts, state, strict=True):
            for kind, mask in part.wants(inner, track).items():
                masks[kind] = masks[kind] | mask if kind in masks else mask
        return masks

    def receive(self, state: Columns, track: Columns, known: KnownStatistics) -> Columns:
        return tuple(part.receive(inner, track, known) for part, inner in zip(self._parts, state, strict=True))

    def hold(self, state: Columns, track: Columns, asked: Mask) -> tuple[Columns, Mask]:
        states, held = list[Columns](), torch.zeros_like(asked)
        for part, inner in zip(self._parts, state, strict=True):
            after, here = part.hold(inner, track, asked) if part.holds else (inner, held)
            states.append(after)
            held = held | here
        return tuple(states), held

    def decide(self, state: Columns, track: Columns) -> Decisions:
        all_ = decisions(track)
        for part, inner in zip(self._parts, state, strict=True):
            new = part.decide(inner, track)
            conflict = (all_.script >= 0) & (new.script >= 0) & (all_.script != new.script)
            all_ = Decisions(
                torch.where(all_.script < 0, new.script, all_.script),
                all_.close | new.close,
                all_.conflict | new.conflict | conflict,
                all_.ending if new.ending is None else new.ending,  # only a budget has one
                (*all_.writes, *new.writes),
            )
        return all_
