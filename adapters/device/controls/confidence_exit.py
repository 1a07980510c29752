"""`ConfidenceExit` on the device."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from thinkpace.adapters.device.columns import Columns, Ids, Mask, build, replace_where, where
from thinkpace.adapters.device.machine import Decisions, DeviceMachine, KnownStatistics, Tables, decisions
from thinkpace.adapters.device.tables import bounded
from thinkpace.processors.controls.confidence_exit import ConfidenceExitMachine, ConfidenceExitState
from thinkpace.processors.core.decisions import Statistic
from thinkpace.types import Phase


class DeviceConfidenceExit(DeviceMachine):
    """Closes thinking when the model is confident.

    Args:
        confidence: the host's; its rule must not need trials.
        tables: of the program.
    """

    def __init__(self, confidence: ConfidenceExitMachine, tables: Tables) -> None:
        self._control = confidence.control
        self._every, self._least, self._threshold = confidence.every, bounded(confidence.least), confidence.threshold
        self._table = tables.phrases(confidence.separators)
        self._kind = confidence.kind

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        inside = after.phase == Phase.THINKING
        opens = inside & (before.phase != Phase.THINKING)
        cursor = self._table.step(state.cursor, token)
        looking = self._table.found(state.cursor, token)
        never = torch.zeros_like(inside)
        initial = build(
            ConfidenceExitState,
            *(torch.full_like(old, new) for old, new in zip(state, ConfidenceExitState(), strict=True)),
        )
        on = state._replace(cursor=cursor, looking=looking, sure=never)
        if self._every:
            looks = state.looks + 1
            sure = (state.seen > 0) & (state.mean >= self._threshold) & (looks >= self._least)
            on = where(looking, initial._replace(cursor=cursor, looking=looking, looks=looks, sure=sure), on)
        return where(opens, initial._replace(looks=state.looks), where(inside, on, state))

    def wants(self, state: Columns, track: Columns) -> Mapping[Statistic, Mask]:
        thinks = (track.phase == Phase.THINKING) & ~state.sure
        return {self._kind: thinks if self._every else thinks & state.looking}

    def receive(self, state: Columns, track: Columns, known: KnownStatistics) -> Columns:
        number, requested = known[self._kind]
        received = requested & (track.phase == Phase.THINKING)
        if self._every:
            seen = state.seen + 1
            return replace_where(state, received, seen=seen, mean=state.mean + (number - state.mean) / seen)
        looks = state.looks + 1
        mean, spread = state.mean, state.spread
        if self._control.rule == "entropy":
            first, weight = looks == 1, self._control.decay
            mean = torch.where(first, number, weight * number + (1 - weight) * mean)
            spread = torch.where(first, torch.zeros_like(mean), weight * (number - mean) ** 2 + (1 - weight) * spread)
            sure = spread < self._threshold
        else:
            sure = number < self._threshold
        updated = build(
            ConfidenceExitState,
            state.cursor,
            torch.zeros_like(sure),
            looks,
            mean,
            spread,
            state.seen,
            sure & (looks >= self._least),
        )
        return where(received & state.looking, updated, state)

    def decide(self, state: Columns, track: Columns) -> Decisions:
        return decisions(track, close=state.sure & (track.phase == Phase.THINKING))
