"""`WaitLimit` on the device: the same rules over columns, one element per sequence."""

from __future__ import annotations

import torch

from own_control.wait_limit import WaitLimitMachine, WaitLimitState
from thinkpace import Phase
from thinkpace.adapters.device import Columns, Decisions, DeviceMachine, Ids, Tables, build, decisions, where
from thinkpace.processors import PHRASE_START


class DeviceWaitLimit(DeviceMachine):
    """`WaitLimitMachine` for many sequences at once.

    Args:
        host: the processor.
        tables: of the program that it belongs to.
    """

    def __init__(self, host: WaitLimitMachine, tables: Tables) -> None:
        self._most = host.most
        self._phrases = tables.phrases(host.phrases)

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        inside = after.phase == Phase.THINKING
        opens = inside & (before.phase != Phase.THINKING)
        found = self._phrases.found(state.cursor, token)
        stepped = build(WaitLimitState, self._phrases.step(state.cursor, token), state.waits + found.long())
        begun = build(WaitLimitState, torch.full_like(token, PHRASE_START), state.waits)
        return where(opens, begun, where(inside, stepped, state))

    def decide(self, state: Columns, track: Columns) -> Decisions:
        return decisions(track, close=(track.phase == Phase.THINKING) & (state.waits >= self._most))
