"""`during` and `after` on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from thinkpace.adapters.device.columns import Columns, Ids, Mask, where
from thinkpace.adapters.device.machine import Known, Machine, Wish
from thinkpace.adapters.device.tables import bounded
from thinkpace.processors.controls.gates import Gate
from thinkpace.processors.core.decisions import Kind


class TensorGate(Machine):
    """A machine that is silenced outside.

    Args:
        gate: the host's.
        inner: the machine.
    """

    def __init__(self, gate: Gate, inner: Machine) -> None:
        self._phase, self._tokens, self._inner = gate.phase, bounded(gate.tokens), inner

    def _open(self, track: Columns) -> Mask:
        late: Mask = track.emitted >= self._tokens
        return late if self._phase is None else late & (track.phase == self._phase)

    def columns(self, states: Sequence[Any], device: torch.device) -> Columns:
        return self._inner.columns(states, device)

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        return self._inner.observe(state, before, after, token, drawn)

    def wants(self, state: Columns, track: Columns) -> Mapping[Kind, Mask]:
        opened = self._open(track)
        return {kind: mask & opened for kind, mask in self._inner.wants(state, track).items()}

    def inform(self, state: Columns, track: Columns, known: Known) -> Columns:
        return where(self._open(track), self._inner.inform(state, track, known), state)

    def decide(self, state: Columns, track: Columns) -> Wish:
        opened, inner = self._open(track), self._inner.decide(state, track)
        return Wish(
            torch.where(opened, inner.script, -1),
            inner.close & opened,
            inner.torn & opened,
            tuple(write.where(opened) for write in inner.writes),
        )
