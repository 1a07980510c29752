"""`PhasedSpeed` on the device."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from thinkpace.adapters.device.columns import Columns, Ids, Mask, made, where, with_
from thinkpace.adapters.device.controls._line_break import _Replacing
from thinkpace.adapters.device.controls.budget import TensorEnding
from thinkpace.adapters.device.machine import Book, Known, Machine, Wish, wish
from thinkpace.adapters.device.tables import bounded
from thinkpace.processors.controls.phased_speed import Speed, SpeedState
from thinkpace.processors.core.decisions import Kind
from thinkpace.processors.text.automaton import START
from thinkpace.processors.text.phrases import BEGIN
from thinkpace.types import Phase


class TensorSpeed(Machine):
    """AlphaOne's two phases.

    Args:
        speed: the host's.
        book: of the program.
    """

    def __init__(self, speed: Speed, book: Book) -> None:
        self._control, self._slow = speed.control, bounded(speed.control.slow_tokens)
        self._ending = TensorEnding(speed.ending, book)  # for its limits; the machine beside this one is another
        self._room = len(speed.script.ids)
        self._script = book.script(speed.script)
        self._separators = book.phrases(speed.separators)
        self._replacing = _Replacing(speed.phrases, speed.line_break, book)

    def _fast(self, track: Columns) -> Mask:
        fast: Mask = track.thinking + track.injected >= self._slow
        return fast

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        inside = after.phase == Phase.THINKING
        opens = inside & (before.phase != Phase.THINKING)
        replaced = self._replacing.replaced(state.phrase, token, drawn) & self._fast(before)
        never = torch.zeros_like(inside)
        on = made(
            SpeedState,
            self._separators.step(state.separator, token),
            self._replacing.table.step(state.phrase, token),
            self._separators.found(state.separator, token) & (drawn >= 0),
            never,
            state.over | replaced,
        )
        begin = torch.full_like(token, BEGIN)
        return where(opens, made(SpeedState, begin, begin, never, never, never), where(inside, on, state))

    def wants(self, state: Columns, track: Columns) -> Mapping[Kind, Mask]:
        thinks = track.phase == Phase.THINKING
        cursor = torch.where(thinks, track.cursor, START)
        room = self._ending.left(track, cursor) > self._room
        return {"uniform": thinks & state.at_break & ~self._fast(track) & room}

    def inform(self, state: Columns, track: Columns, known: Known) -> Columns:
        numbers, _ = known["uniform"]
        spent = track.thinking + track.injected
        chance = self._control.wait_probability * (1 - spent.double() / self._slow)
        return with_(state, self.wants(state, track)["uniform"], write=numbers < chance)

    def decide(self, state: Columns, track: Columns) -> Wish:
        acts = (track.phase == Phase.THINKING) & (track.cursor == START)
        fast = acts & self._fast(track)
        script = torch.where(acts & ~fast & state.write, self._script, -1)
        return wish(track, self._replacing.write(state.phrase, fast), script=script, close=fast & state.over)
