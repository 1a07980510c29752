"""`Guard` on the device: what holds after a forced close."""

from __future__ import annotations

import torch

from thinkpace.adapters.device.columns import Columns, Ids, Mask, made, where, with_
from thinkpace.adapters.device.machine import Book, Machine, Wish, Write, wish
from thinkpace.adapters.device.tables import MatcherTable, bounded
from thinkpace.processors.budgeting.guard import Guard, GuardState
from thinkpace.processors.text.automaton import START
from thinkpace.processors.text.phrases import BEGIN
from thinkpace.types import Phase


class TensorGuard(Machine):
    """Bars going on with thinking after a forced close.

    Args:
        guard: the host's.
        book: of the program.
    """

    def __init__(self, guard: Guard, book: Book) -> None:
        size = book.size
        self._sets = book.sets()
        self._tokens = bounded(guard.tokens)
        self._table = book.phrases(guard.phrases)
        self._closes = MatcherTable(guard.closes, size, book.device)
        self._close_sets = self._sets.added(guard.closes.completions(cursor) for cursor in range(len(guard.closes)))
        self._open_sets = self._sets.added(guard.opens.completions(cursor) for cursor in range(len(guard.opens)))

    def _guards(self, state: Columns, track: Columns) -> Mask:
        guards: Mask = (state.since >= 0) & (track.emitted - state.since < self._tokens)
        return guards

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        nothing = made(GuardState, *(torch.full_like(token, value) for value in GuardState()))
        forced = (after.phase == Phase.ANSWER) & after.forced_end
        stays = forced & (before.phase == Phase.ANSWER)
        guards = self._guards(state, after)
        on = made(
            GuardState,
            state.since,
            torch.where(guards, self._table.step(state.phrase, token), BEGIN),
            torch.where(guards, self._closes.step(state.close, token), START),
        )
        begun = with_(nothing, forced, since=after.emitted)
        return where(stays, on, begun)

    def decide(self, state: Columns, track: Columns) -> Wish:
        holds = (state.since >= 0) & (track.phase == Phase.ANSWER)
        guards = holds & self._guards(state, track)
        opening = torch.where(holds, track.cursor, START)
        return wish(
            track,
            Write("ban", self._sets, torch.where(holds, self._open_sets[opening], 0)),
            Write("ban", self._table.sets, torch.where(guards, self._table.completions[state.phrase], 0)),
            Write("ban", self._sets, torch.where(guards, self._close_sets[state.close], 0)),
        )
