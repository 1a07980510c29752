"""Run a program along the tokens that a model would choose, following its edits. The laws are checked on such runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from thinkpace import Control, NoLegalToken
from thinkpace.processors import DrawHistory, Edit, Program, RowStatistic, State
from thinkpace.processors.budgeting.budget import Budget

#: the token that a model would choose, and a number for every other choice; `STUBBORN`: it appears whatever the edit is
Wish = tuple[int, int]
STUBBORN = 5


@dataclass(frozen=True)
class Armed:
    """Controls, and the program they compile into."""

    controls: tuple[Control, ...]
    program: Program

    @property
    def budget(self) -> Budget | None:
        return next((control for control in self.controls if isinstance(control, Budget)), None)


def taken(edit: Edit, wish: int, origin: int, everything: range) -> tuple[int, int]:
    """(token, drawn) where the model would choose `wish` and the engine follows the edit."""
    if edit.forced is not None and not edit.moved_onto:
        return edit.forced, edit.forced
    if wish in edit.redraw:
        legal = [t for t in everything if t not in edit.redraw and t not in edit.ban]
        return legal[origin % len(legal)], wish
    if wish in edit.ban or (edit.only is not None and wish not in edit.only):
        allowed = sorted(edit.only) if edit.only is not None else [i for i in everything if i not in edit.ban]
        wish = allowed[wish % len(allowed)]
    return edit.redirect.get(wish, wish), wish


def statistics_for(state: State, origin: int) -> dict[RowStatistic, float]:
    """A value for every statistic that a state asks for."""
    return dict.fromkeys(state.wants, 0.2 * origin)


def run(
    program: Program, prompt: Sequence[int], wishes: Sequence[Wish], *, stubborn: int | None = None
) -> tuple[list[State], list[int], DrawHistory]:
    """The states after every token, the tokens, and the draw history. Ends where no token is legal.

    `stubborn`: a wish with this second number appears whatever the edit is.
    """
    drawn, statistics = dict[int, int](), dict[int, dict[RowStatistic, float]]()
    states, tokens = [program.start(prompt)], list[int]()
    everything = range(program.size)
    for wish, origin in wishes:
        state = states[-1]
        if state.wants:
            statistics[len(tokens)] = statistics_for(state, origin)
            try:
                state = program.receive(state, statistics[len(tokens)])
            except NoLegalToken:
                del statistics[len(tokens)]
                break
        free = origin == stubborn
        token, came_from = (wish, wish) if free else taken(state.edit, wish, origin, everything)
        try:
            after = program.step(state, token, came_from)
        except NoLegalToken:
            break
        if came_from != token:
            drawn[len(tokens)] = came_from
        tokens.append(token)
        states.append(after)
    return states, tokens, DrawHistory(drawn, {at: known for at, known in statistics.items() if at < len(tokens)})
