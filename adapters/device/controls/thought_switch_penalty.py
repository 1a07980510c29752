"""`ThoughtSwitchPenalty` on the device."""

from __future__ import annotations

import torch

from thinkpace.adapters.device.columns import Columns, Ids, replace_where
from thinkpace.adapters.device.controls._thoughts import follow_thought
from thinkpace.adapters.device.machine import Decisions, DeviceMachine, EditStep, Tables, decisions
from thinkpace.adapters.device.tables import bounded
from thinkpace.processors.controls.thought_switch_penalty import ThoughtSwitchPenaltyMachine
from thinkpace.processors.text.phrases import BEGIN
from thinkpace.types import Phase


class DeviceThoughtSwitchPenalty(DeviceMachine):
    """The thought switching penalty (TIP).

    Args:
        penalty: the host's.
        tables: of the program.
    """

    def __init__(self, penalty: ThoughtSwitchPenaltyMachine, tables: Tables) -> None:
        self._control, self._beta = penalty.control, bounded(penalty.control.beta)
        self._table = tables.phrases(penalty.phrases)
        self._penalised = tables.phrases(penalty.penalised)

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        thought, cursor = state
        followed = follow_thought(thought, self._table, before, after, token)
        if self._control.first_thought == "generation":
            followed = replace_where(followed, (followed.thoughts == 1) & (thought.thoughts == 0), began=0)
        if self._penalised is self._table:
            return followed, followed.cursor
        stepped = torch.where(before.phase == Phase.THINKING, self._penalised.step(cursor, token), BEGIN)
        return followed, torch.where(after.phase == Phase.THINKING, stepped, cursor)

    def decide(self, state: Columns, track: Columns) -> Decisions:
        thought, cursor = state
        young = (track.phase == Phase.THINKING) & (track.emitted - thought.began < self._beta)
        amount = torch.full_like(cursor, -self._control.alpha, dtype=torch.float64)
        which = torch.where(young, self._penalised.completions[cursor], 0)
        return decisions(track, EditStep("bias", self._penalised.sets, which, amount))
