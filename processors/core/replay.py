"""Replay: the states of a sequence from its tokens and what was drawn along them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from thinkpace.processors.core.decisions import Statistics
from thinkpace.processors.core.program import Program, State


@dataclass(frozen=True, slots=True)
class DrawHistory:
    """What a state depends on beside its tokens.

    Args:
        drawn: output index -> the id that the model drew there, where it was another one than came.
        statistics: output index -> the numbers known of the row that this token was drawn from.
    """

    drawn: Mapping[int, int] = field(default_factory=dict)
    statistics: Mapping[int, Statistics] = field(default_factory=dict)


def states(
    program: Program, prompt: Sequence[int], tokens: Sequence[int], history: DrawHistory | None = None
) -> Iterator[State]:
    """The states before the first token, and after each one."""
    history = history or DrawHistory()
    state = program.start(prompt)
    for i, token in enumerate(tokens):
        if i in history.statistics:
            state = program.receive(state, history.statistics[i])
        yield state
        state = program.step(state, token, history.drawn.get(i))
    yield program.receive(state, history.statistics[len(tokens)]) if len(tokens) in history.statistics else state


def replay(program: Program, prompt: Sequence[int], tokens: Sequence[int], history: DrawHistory | None = None) -> State:
    """The state after `tokens`, from nothing: equal to stepping through them.

    Args:
        program: what was compiled.
        prompt: ids of the prompt.
        tokens: ids of the output.
        told: what was drawn, and the numbers that were wanted.
    """
    *_, last = states(program, prompt, tokens, history)
    return last
