"""Where thoughts begin: shared by the controls that count or penalise them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from thinkpace.processors.core.tracker import Track
from thinkpace.processors.text.phrases import BEGIN, Phrases
from thinkpace.types import Phase


class ThoughtState(NamedTuple):
    """Args: cursor: in the expressions. began: output tokens when the thought began. thoughts: how many were begun.
    over: whether thinking is to be closed."""

    cursor: int = BEGIN
    began: int = 0
    thoughts: int = 0
    over: bool = False


def follow_thought(
    state: ThoughtState, table: Phrases, before: Track, after: Track, token: int, *, own: bool = True
) -> ThoughtState:
    """The state after a token that belongs to thinking, or opens it; a thought that is not its `own` does not count."""
    if after.phase is not Phase.THINKING:
        return state
    if before.phase is not Phase.THINKING:
        return ThoughtState(BEGIN, after.emitted, state.thoughts + 1)
    cursor, found = table.step(state.cursor, token)
    if found is not None:
        return ThoughtState(cursor, after.emitted, state.thoughts + own, state.over)
    return state if cursor == state.cursor else ThoughtState(cursor, state.began, state.thoughts, state.over)


def skip_thought(state: ThoughtState, table: Phrases, track: Track, tokens: Sequence[int]) -> ThoughtState:
    """The state after tokens none of which is heeded."""
    cursor = table.idle_cursor(tokens) if track.phase is Phase.THINKING else state.cursor
    return state if cursor == state.cursor else ThoughtState(cursor, state.began, state.thoughts, state.over)
