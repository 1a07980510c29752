"""Track where thoughts start; shared by the controls that count or penalise them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from thinkpace.processors.core.tracker import Track
from thinkpace.processors.text.phrases import BEGIN, Phrases
from thinkpace.types import Phase


class ThoughtState(NamedTuple):
    """Position of a sequence in its thoughts."""

    cursor: int = BEGIN  #: cursor in the expressions
    began: int = 0  #: number of output tokens when the current thought started
    thoughts: int = 0  #: number of thoughts started
    over: bool = False  #: whether thinking is to be closed


def follow_thought(
    state: ThoughtState, table: Phrases, before: Track, after: Track, token: int, *, own: bool = True
) -> ThoughtState:
    """The state after one more token. `own`: the model drew it; otherwise a thought it starts is not counted."""
    if after.phase is not Phase.THINKING:
        return state
    if before.phase is not Phase.THINKING:
        return ThoughtState(BEGIN, after.emitted, state.thoughts + 1)
    cursor, completed = table.step(state.cursor, token)
    if completed is not None:
        return ThoughtState(cursor, after.emitted, state.thoughts + own, state.over)
    return state if cursor == state.cursor else ThoughtState(cursor, state.began, state.thoughts, state.over)


def skip_thought(state: ThoughtState, table: Phrases, track: Track, tokens: Sequence[int]) -> ThoughtState:
    """The state after tokens of which none is a wake token."""
    cursor = table.idle_cursor(tokens) if track.phase is Phase.THINKING else state.cursor
    return state if cursor == state.cursor else ThoughtState(cursor, state.began, state.thoughts, state.over)
