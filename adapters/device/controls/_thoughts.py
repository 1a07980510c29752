"""Where thoughts begin, on the device."""

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
    """As the host's: the thoughts after a token each."""
    inside = after.phase == Phase.THINKING
    opens = inside & (before.phase != Phase.THINKING)
    found = table.found(state.cursor, token)
    counts = found if own is None else found & own
    going_on = build(
        ThoughtState,
        table.step(state.cursor, token),
        torch.where(found, after.emitted, state.began),
        state.thoughts + counts.long(),
        state.over,
    )
    never = torch.zeros_like(inside)
    begun = build(ThoughtState, torch.full_like(token, BEGIN), after.emitted, state.thoughts + 1, never)
    return where(opens, begun, where(inside, going_on, state))
