"""`ThoughtBudget` on the device."""

from __future__ import annotations

from thinkpace.adapters.device.columns import Columns, Ids, with_
from thinkpace.adapters.device.controls._line_break import _Replacing
from thinkpace.adapters.device.controls._thoughts import follow_thought
from thinkpace.adapters.device.machine import Book, Machine, Wish, wish
from thinkpace.adapters.device.tables import bounded
from thinkpace.processors.controls.thought_budget import Thoughts
from thinkpace.types import Phase


class TensorThoughts(Machine):
    """So many thoughts.

    Args:
        thoughts: the host's.
        book: of the program.
    """

    def __init__(self, thoughts: Thoughts, book: Book) -> None:
        self._most = bounded(thoughts.most)
        self._replacing = _Replacing(thoughts.phrases, thoughts.line_break, book)

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        replaced = self._replacing.replaced(state.cursor, token, drawn)
        replaced &= (before.phase == Phase.THINKING) & (state.thoughts >= self._most)
        followed = follow_thought(state, self._replacing.table, before, after, token, drawn == token)
        return with_(followed, replaced, over=True)

    def decide(self, state: Columns, track: Columns) -> Wish:
        thinks = track.phase == Phase.THINKING
        write = self._replacing.write(state.cursor, thinks & (state.thoughts >= self._most))
        return wish(track, write, close=thinks & (state.over | (state.thoughts > self._most)))
