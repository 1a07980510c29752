"""`Guard` on the device: restrictions after a forced close."""

from __future__ import annotations

import torch

from thinkpace.adapters.device.columns import Columns, Ids, Mask, build, replace_where, where
from thinkpace.adapters.device.machine import Decisions, DeviceMachine, EditStep, Tables, decisions
from thinkpace.adapters.device.tables import MatcherTable, bounded
from thinkpace.processors.budgeting.guard import Guard, GuardState
from thinkpace.processors.text.automaton import START
from thinkpace.processors.text.openings import Line
from thinkpace.processors.text.phrases import BEGIN
from thinkpace.types import Phase


class DeviceGuard(DeviceMachine):
    """Bans tokens that would continue thinking after a forced close.

    Args:
        guard: the host's.
        tables: of the program.
    """

    def __init__(self, guard: Guard, tables: Tables) -> None:
        size = tables.size
        self._sets = tables.sets()
        self._tokens = bounded(guard.tokens)
        self._table = tables.phrases(guard.phrases)
        self._closes = MatcherTable(guard.closes, size, tables.device)
        self._close_sets = self._sets.added(guard.closes.completions(cursor) for cursor in range(len(guard.closes)))
        openings = guard.openings
        self._open_sets = self._sets.added(
            openings.completions(cursor, line) for cursor in range(len(openings.lengths)) for line in Line
        ).view(-1, len(Line))

    def _guards(self, state: Columns, track: Columns) -> Mask:
        guards: Mask = (state.since >= 0) & (track.emitted - state.since < self._tokens)
        return guards

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        nothing = build(GuardState, *(torch.full_like(token, value) for value in GuardState()))
        forced = (after.phase == Phase.ANSWER) & after.forced_end
        stays = forced & (before.phase == Phase.ANSWER)
        guards = self._guards(state, after)
        on = build(
            GuardState,
            state.since,
            torch.where(guards, self._table.step(state.phrase, token), BEGIN),
            torch.where(guards, self._closes.step(state.close, token), START),
        )
        initial = replace_where(nothing, forced, since=after.emitted)
        return where(stays, on, initial)

    def decide(self, state: Columns, track: Columns) -> Decisions:
        holds = (state.since >= 0) & (track.phase == Phase.ANSWER)
        guards = holds & self._guards(state, track)
        opening = torch.where(holds, track.cursor, START)
        return decisions(
            track,
            EditStep("ban", self._sets, torch.where(holds, self._open_sets[opening, track.line], 0)),
            EditStep("ban", self._table.sets, torch.where(guards, self._table.completions[state.phrase], 0)),
            EditStep("ban", self._sets, torch.where(guards, self._close_sets[state.close], 0)),
        )
