"""`StepBudget` on the device."""

from __future__ import annotations

import torch

from thinkpace.adapters.device.columns import Columns, Ids, build, where
from thinkpace.adapters.device.machine import Decisions, DeviceMachine, Tables, decisions
from thinkpace.adapters.device.tables import bounded, per_token
from thinkpace.processors.controls.step_budget import StepBudgetMachine, StepBudgetState
from thinkpace.processors.text.phrases import BEGIN
from thinkpace.types import Phase


class DeviceStepBudget(DeviceMachine):
    """Closes thinking after a number of steps.

    Args:
        steps: the host's.
        tables: of the program.
    """

    def __init__(self, steps: StepBudgetMachine, tables: Tables) -> None:
        self._most = bounded(steps.most)
        self._table = tables.phrases(steps.separators)
        holds = {token: 1 for token, text in enumerate(steps.texts) if text.strip()}
        self._holds = per_token(holds, tables.size, tables.device, torch.bool)

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        inside = after.phase == Phase.THINKING
        opens = inside & (before.phase != Phase.THINKING)
        started = state.has_text | self._holds[token]
        found = self._table.found(state.cursor, token)
        ended = found & started
        on = build(
            StepBudgetState, state.steps + ended.long(), started & ~ended, self._table.step(state.cursor, token), found
        )
        never, begin = torch.zeros_like(started), torch.full_like(token, BEGIN)
        anew = build(StepBudgetState, state.steps, never, begin, torch.ones_like(started))
        return where(opens, anew, where(inside, on, state))

    def decide(self, state: Columns, track: Columns) -> Decisions:
        return decisions(track, close=(track.phase == Phase.THINKING) & state.at_end & (state.steps >= self._most))
