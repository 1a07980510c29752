"""`ThoughtBudget` on the device."""

from __future__ import annotations

import torch

from thinkpace.adapters.device.columns import Columns, Ids
from thinkpace.adapters.device.controls._line_break import LineBreakInstead
from thinkpace.adapters.device.controls._thoughts import follow_thought
from thinkpace.adapters.device.machine import Decisions, DeviceMachine, Tables, decisions
from thinkpace.adapters.device.tables import bounded
from thinkpace.processors.controls.thought_budget import ThoughtBudgetMachine
from thinkpace.types import Phase


class DeviceThoughtBudget(DeviceMachine):
    """Limits the number of thoughts.

    Args:
        thoughts: the host's.
        tables: of the program.
    """

    def __init__(self, thoughts: ThoughtBudgetMachine, tables: Tables) -> None:
        self._most = bounded(thoughts.most)
        self._replacing = LineBreakInstead(thoughts.phrases, thoughts.line_break, tables)

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        replaced = self._replacing.replaced(state.cursor, token, drawn)
        replaced &= (before.phase == Phase.THINKING) & (state.thoughts >= self._most)
        followed = follow_thought(state, self._replacing.table, before, after, token, drawn == token)
        opens = (after.phase == Phase.THINKING) & (before.phase != Phase.THINKING)
        return followed._replace(over=torch.where(opens, followed.thoughts > self._most, replaced))

    def decide(self, state: Columns, track: Columns) -> Decisions:
        thinks = track.phase == Phase.THINKING
        write = self._replacing.write(state.cursor, thinks & (state.thoughts >= self._most))
        return decisions(track, write, close=thinks & state.over)
