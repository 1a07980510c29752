"""Replay: the states of a sequence from its tokens and what was drawn along them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from thinkpace.processors.core.decisions import Numbers
from thinkpace.processors.core.program import Program, State


@dataclass(frozen=True, slots=True)
class Told:
    """What a state depends on beside its tokens.

    Args:
        drawn: output index -> the id that the model drew there, where it was another one than came.
        numbers: output index -> the numbers known of the row that this token was drawn from.
    """

    drawn: Mapping[int, int] = field(default_factory=dict)
    numbers: Mapping[int, Numbers] = field(default_factory=dict)


def states(program: Program, prompt: Sequence[int], tokens: Sequence[int], told: Told | None = None) -> Iterator[State]:
    """The states before the first token, and after each one."""
    told = told or Told()
    state = program.start(prompt)
    for i, token in enumerate(tokens):
        if i in told.numbers:
            state = program.inform(state, told.numbers[i])
        yield state
        state = program.step(state, token, told.drawn.get(i))
    yield program.inform(state, told.numbers[len(tokens)]) if len(tokens) in told.numbers else state


def replay(program: Program, prompt: Sequence[int], tokens: Sequence[int], told: Told | None = None) -> State:
    """The state after `tokens`, from nothing: equal to stepping through them.

    Args:
        program: what was compiled.
        prompt: ids of the prompt.
        tokens: ids of the output.
        told: what was drawn, and the numbers that were wanted.
    """
    *_, last = states(program, prompt, tokens, told)
    return last
