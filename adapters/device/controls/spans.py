"""`Spans` on the device: tool calls and fenced code that a forced close waits for."""

from __future__ import annotations

import torch

from thinkpace.adapters.device.columns import Columns, Ids, Mask, build, where
from thinkpace.adapters.device.machine import Decisions, DeviceMachine, Tables, decisions
from thinkpace.adapters.device.tables import bounded, per_token
from thinkpace.processors.budgeting.spans import Spans, SpanState
from thinkpace.types import Phase


class DeviceSpans(DeviceMachine):
    """Holds forced closes.

    Args:
        spans: the host's.
        tables: of the program.
    """

    holds = True

    def __init__(self, spans: Spans, tables: Tables) -> None:
        self._tokens = bounded(spans.tokens)
        self._table = tables.phrases(spans.phrases)
        number = spans.phrases.number
        self._single = per_token({t: number(text) for t, text in spans.single.items()}, tables.size, tables.device)
        texts = sorted(spans.begins, key=number)
        self._begins = tables.ids(-1, *(spans.begins[text] for text in texts))
        self._ends = tables.ids(*(number(text) for text in spans.ends))

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        inside = (after.phase == Phase.THINKING) & (before.phase == Phase.THINKING)
        cursor = self._table.step(state.cursor, token)
        whole = torch.where(self._single[token] > 0, self._single[token], self._table.completed(state.cursor, token))
        is_open = state.open >= 0
        begins = ~is_open & (whole > 0)
        ends = is_open & (whole == self._ends[state.open.clamp(min=0)])
        changed = begins | ends
        on = build(
            SpanState,
            cursor,
            torch.where(begins, self._begins[whole], torch.where(ends, -1, state.open)),
            torch.where(changed, -1, state.held_at),
        )
        nothing = build(SpanState, *(torch.full_like(token, value) for value in SpanState()))
        return where(inside, on, nothing)

    def decide(self, state: Columns, track: Columns) -> Decisions:
        return decisions(track)

    def hold(self, state: Columns, track: Columns, asked: Mask) -> tuple[Columns, Mask]:
        is_open = asked & (state.open >= 0)
        first = is_open & (state.held_at < 0)
        lasts = (track.emitted - state.held_at < self._tokens) | (track.missing > 0)
        return state._replace(held_at=torch.where(first, track.emitted, state.held_at)), first | (is_open & lasts)
