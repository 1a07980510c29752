"""Replay: rebuild the states of a sequence from its tokens and its draw history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from thinkpace.processors.core.decisions import Statistics
from thinkpace.processors.core.program import Program, State


@dataclass(frozen=True, slots=True)
class DrawHistory:
    """What a state depends on besides its tokens.

    Args:
        drawn: output index -> the id that the model drew there, where it differs from the output token.
        statistics: output index -> the row statistics received for the row that this token was drawn from.
    """

    drawn: Mapping[int, int] = field(default_factory=dict)
    statistics: Mapping[int, Statistics] = field(default_factory=dict)


def states(
    program: Program, prompt: Sequence[int], tokens: Sequence[int], history: DrawHistory | None = None
) -> Iterator[State]:
    """Yields the state before the first token, and after each token."""
    history = history or DrawHistory()
    state = program.start(prompt)
    for i, token in enumerate(tokens):
        if i in history.statistics:
            state = program.receive(state, history.statistics[i])
        yield state
        state = program.step(state, token, history.drawn.get(i))
    yield program.receive(state, history.statistics[len(tokens)]) if len(tokens) in history.statistics else state


def replay(program: Program, prompt: Sequence[int], tokens: Sequence[int], history: DrawHistory | None = None) -> State:
    """The state after `tokens`, computed from the start; equal to stepping through them.

    Args:
        program: the compiled program.
        prompt: ids of the prompt.
        tokens: ids of the output.
        history: the draw history.
    """
    *_, last = states(program, prompt, tokens, history)
    return last
