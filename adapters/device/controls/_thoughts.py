"""Follows where thoughts begin, on the device."""

from __future__ import annotations

import torch

from thinkpace.adapters.device.columns import Columns, Ids, Mask, build, where
from thinkpace.adapters.device.tables import PhrasesTable
from thinkpace.processors.controls._thoughts import ThoughtState
from thinkpace.processors.text.phrases import BEGIN
from thinkpace.types import Phase


def follow_thought(
    state: Columns, table: PhrasesTable, before: Columns, after: Columns, token: Ids, own: Mask | None = None
) -> Columns:
    """The host's `follow_thought` for many rows: the states after one more token each."""
    inside = after.phase == Phase.THINKING
    opens = inside & (before.phase != Phase.THINKING)
    matched = table.found(state.cursor, token)
    counts = matched if own is None else matched & own
    going_on = build(
        ThoughtState,
        table.step(state.cursor, token),
        torch.where(matched, after.emitted, state.began),
        state.thoughts + counts.long(),
        state.over,
    )
    never = torch.zeros_like(inside)
    initial = build(ThoughtState, torch.full_like(token, BEGIN), after.emitted, state.thoughts + 1, never)
    return where(opens, initial, where(inside, going_on, state))
