"""`PhasedSpeed` on the device."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from thinkpace.adapters.device.columns import Columns, Ids, Mask, build, replace_where, where
from thinkpace.adapters.device.controls._line_break import LineBreakInstead
from thinkpace.adapters.device.controls.budget import DeviceBudget
from thinkpace.adapters.device.machine import Decisions, DeviceMachine, KnownStatistics, Tables, decisions
from thinkpace.adapters.device.tables import bounded
from thinkpace.processors.controls.phased_speed import PhasedSpeedMachine, PhasedSpeedState
from thinkpace.processors.core.decisions import Statistic
from thinkpace.processors.text.automaton import START
from thinkpace.processors.text.phrases import BEGIN
from thinkpace.types import Phase


class DevicePhasedSpeed(DeviceMachine):
    """The slow and fast phases of AlphaOne.

    Args:
        speed: the host's.
        tables: of the program.
    """

    def __init__(self, speed: PhasedSpeedMachine, tables: Tables) -> None:
        self._control, self._slow = speed.control, bounded(speed.control.slow_tokens)
        self._ending = DeviceBudget(speed.ending, tables)  # only for its limits; another machine applies them
        self._room = len(speed.script.ids)
        self._script = tables.script(speed.script)
        self._separators = tables.phrases(speed.separators)
        self._replacing = LineBreakInstead(speed.phrases, speed.line_break, tables)

    def _fast(self, track: Columns) -> Mask:
        fast: Mask = track.thinking + track.injected >= self._slow
        return fast

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        inside = after.phase == Phase.THINKING
        opens = inside & (before.phase != Phase.THINKING)
        replaced = self._replacing.replaced(state.phrase, token, drawn) & self._fast(before)
        never = torch.zeros_like(inside)
        on = build(
            PhasedSpeedState,
            self._separators.step(state.separator, token),
            self._replacing.table.step(state.phrase, token),
            self._separators.found(state.separator, token) & (drawn >= 0),
            never,
            replaced & (before.phase == Phase.THINKING),
        )
        begin = torch.full_like(token, BEGIN)
        return where(opens, build(PhasedSpeedState, begin, begin, never, never, never), where(inside, on, state))

    def wants(self, state: Columns, track: Columns) -> Mapping[Statistic, Mask]:
        thinks = track.phase == Phase.THINKING
        cursor = torch.where(thinks, track.cursor, START)
        room = self._ending.left(track, cursor) > self._room
        return {"uniform": thinks & state.at_break & ~self._fast(track) & room}

    def receive(self, state: Columns, track: Columns, known: KnownStatistics) -> Columns:
        numbers, _ = known["uniform"]
        spent = track.thinking + track.injected
        chance = self._control.wait_probability * (1 - spent.double() / self._slow)
        return replace_where(state, self.wants(state, track)["uniform"], write=numbers < chance)

    def decide(self, state: Columns, track: Columns) -> Decisions:
        acts = (track.phase == Phase.THINKING) & (track.cursor == START)
        fast = acts & self._fast(track)
        script = torch.where(acts & ~fast & state.write, self._script, -1)
        return decisions(track, self._replacing.write(state.phrase, fast), script=script, close=fast & state.over)
