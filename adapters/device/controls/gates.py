"""`during` and `after` on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from thinkpace.adapters.device.columns import Columns, Ids, Mask, where
from thinkpace.adapters.device.machine import Decisions, DeviceMachine, KnownStatistics
from thinkpace.adapters.device.tables import bounded
from thinkpace.processors.controls.gates import Gate
from thinkpace.processors.core.decisions import Statistic


class DeviceGate(DeviceMachine):
    """Wraps a machine; outside its phase or token range it decides nothing.

    Args:
        gate: the host's.
        inner: the wrapped machine.
    """

    def __init__(self, gate: Gate, inner: DeviceMachine) -> None:
        self._phase, self._tokens, self._inner = gate.phase, bounded(gate.tokens), inner

    def _open(self, track: Columns) -> Mask:
        late: Mask = track.emitted >= self._tokens
        return late if self._phase is None else late & (track.phase == self._phase)

    def columns(self, states: Sequence[Any], device: torch.device) -> Columns:
        return self._inner.columns(states, device)

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        return self._inner.observe(state, before, after, token, drawn)

    def wants(self, state: Columns, track: Columns) -> Mapping[Statistic, Mask]:
        opened = self._open(track)
        return {kind: mask & opened for kind, mask in self._inner.wants(state, track).items()}

    def receive(self, state: Columns, track: Columns, known: KnownStatistics) -> Columns:
        return where(self._open(track), self._inner.receive(state, track, known), state)

    def decide(self, state: Columns, track: Columns) -> Decisions:
        opened, inner = self._open(track), self._inner.decide(state, track)
        return Decisions(
            torch.where(opened, inner.script, -1),
            inner.close & opened,
            inner.conflict & opened,
            None,  # no gate holds a budget
            tuple(write.where(opened) for write in inner.writes),
        )
