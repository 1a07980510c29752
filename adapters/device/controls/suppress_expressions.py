"""`SuppressExpressions` on the device."""

from __future__ import annotations

from thinkpace.adapters.device.columns import Columns, Ids
from thinkpace.adapters.device.machine import Decisions, DeviceMachine, EditStep, Tables, decisions
from thinkpace.processors.controls.suppress_expressions import SuppressExpressionsMachine


class DeviceSuppressExpressions(DeviceMachine):
    """Bans phrases; the state is the cursor in them.

    Args:
        suppression: the host's.
        tables: of the program.
    """

    def __init__(self, suppression: SuppressExpressionsMachine, tables: Tables) -> None:
        self._table = tables.phrases(suppression.phrases)

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        return self._table.step(state, token)

    def decide(self, state: Columns, track: Columns) -> Decisions:
        return decisions(track, EditStep("ban", self._table.sets, self._table.completions[state]))
