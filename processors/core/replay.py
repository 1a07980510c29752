"""Replay: rebuild the states of a sequence from its tokens and its draw history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from thinkpace.processors.core.decisions import Statistics, TakeBack
from thinkpace.processors.core.program import Program, State


@dataclass(frozen=True, slots=True)
class DrawHistory:
    """What a state depends on besides its tokens.

    Args:
        drawn: output index -> the id that the model drew there, where it differs from the output token.
        statistics: output index -> the row statistics received for the row that this token was drawn from.
        taken_back: output index -> the markers that were taken back there, in order, each with the reason.
    """

    drawn: Mapping[int, int] = field(default_factory=dict)
    statistics: Mapping[int, Statistics] = field(default_factory=dict)
    taken_back: Mapping[int, tuple[TakeBack, ...]] = field(default_factory=dict)

    def before(self, program: Program, state: State, at: int) -> State:
        """The state from which output token `at` was drawn, given the state after the tokens before it."""
        for marker in self.taken_back.get(at, ()):
            state = program.taken_back(state, marker.ids, marker.why)
        return program.receive(state, self.statistics[at]) if at in self.statistics else state


def states(
    program: Program, prompt: Sequence[int], tokens: Sequence[int], history: DrawHistory | None = None
) -> Iterator[State]:
    """Yields the state before the first token, and after each token."""
    history = history or DrawHistory()
    state = program.start(prompt)
    for i, token in enumerate(tokens):
        state = history.before(program, state, i)
        yield state
        state = program.step(state, token, history.drawn.get(i))
    yield history.before(program, state, len(tokens))


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
