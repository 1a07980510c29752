"""`BudgetMachine` on the device: limits, waits and landings of all budgets."""

from __future__ import annotations

import numpy as np
import torch

from thinkpace.adapters.device.columns import Columns, Ids, build
from thinkpace.adapters.device.machine import Decisions, DeviceMachine, EditStep, Tables, decisions
from thinkpace.adapters.device.tables import ByToken, MatcherTable, bounded, per_token
from thinkpace.processors.budgeting.machine import CHARACTER_BYTES, BudgetMachine, BudgetState, OnClose, PendingText
from thinkpace.processors.core.decisions import FOREVER
from thinkpace.processors.text.automaton import START
from thinkpace.processors.text.lexicon import lexicon, shapes
from thinkpace.processors.text.openings import Line
from thinkpace.processors.text.sentences import Pause, Sentences
from thinkpace.types import Phase


class DeviceBudget(DeviceMachine):
    """Decides when thinking ends.

    Args:
        ending: the host's.
        tables: of the program.
    """

    def __init__(self, ending: BudgetMachine, tables: Tables) -> None:
        self._limits = limits = ending.limits
        self._device, size = tables.device, tables.size
        closing, closes = ending.closing, ending.closes
        cursors = range(len(closes))
        self._most = FOREVER if limits.max_tokens is None else bounded(limits.max_tokens)
        self._fewest_tokens, self._waits, self._landing = map(
            bounded, (limits.min_tokens, limits.waits, limits.landing)
        )
        self._begun = tables.ids(*(len(closes.partial_match(cursor)) for cursor in cursors))
        self._reserves = limits.answer_reserve is not None
        reserve = limits.answer_reserve or 0
        self._needed = tables.ids(*(len(closing.script("reserve", c).ids) + reserve for c in cursors))
        self._close = tables.ids(*(tables.script(closing.script("limit", cursor)) for cursor in cursors))
        self._complete = tables.ids(*(tables.script(script) for script in ending.complete))
        self._finish = tables.ids(*(tables.script(script) for script in ending.finish))
        self._wait, self._final = tables.script(ending.wait_script), tables.script(ending.after_close)
        eos = ending.eos
        self._sets, self._partial = tables.sets(), tables.sets()
        attempts = [ending.attempts(cursor) for cursor in cursors]
        self._deciding = per_token(dict.fromkeys(ending.deciding, 1), size, self._device, torch.bool)
        rests = [script.ids for script in ending.finish]
        self._eos_sets = self._sets.added(eos - set(rest[:1]) if rest else () for rest in rests)
        self._rest = tables.ids(*(rest[0] if rest else 0 for rest in rests))
        self._attempts = self._sets.added(attempts)
        wait = limits.wait[0] if limits.wait else 0
        self._wait_sets = self._sets.added(attempt - {wait} for attempt in attempts)
        self._wait_id = tables.ids(wait)
        self._is_eos = per_token(dict.fromkeys(eos, 1), size, self._device, torch.bool)
        self._steps = MatcherTable(closes, size, self._device)
        self._no_opening = self._sets.added(
            ending.openings.completions(cursor, line) for cursor in range(len(ending.openings.lengths)) for line in Line
        ).view(-1, len(Line))
        self._ramp = self._sets.added(closes.advances(cursor) for cursor in cursors)
        partial = lexicon(tables.vocabulary).partial
        self._fewest = min(partial.values(), default=0)
        self._unfinished = self._partial.added(  # by the number of tokens that certainly still fit
            [token for token, missing in partial.items() if missing >= certain]
            for certain in range(self._fewest, CHARACTER_BYTES + 1)
        )
        self._pauses = pauses(tables) if limits.landing else None

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        thinks = before.phase == Phase.THINKING
        cursor = torch.where(thinks, before.cursor, START)
        mode = self._mode(state, before, cursor)
        actual = drawn.clamp(min=0)
        ends = self._is_eos[actual]
        attempt = ends | self._deciding[actual] | (self._steps.found[self._steps.step(cursor, actual)] > 0)
        has_rest = self._eos_sets[cursor] > 0
        moved = torch.where(mode == OnClose.FREE, ends & has_rest, attempt & (mode != OnClose.BAN))
        moved &= (drawn >= 0) & (drawn != token) & thinks
        finishing = moved & (mode == OnClose.FREE)
        extended = moved & (mode != OnClose.FREE)
        due = torch.where(finishing & (after.phase == Phase.THINKING), PendingText.CLOSE, PendingText.NOTHING)
        if self._wait >= 0:
            due = torch.where(extended & (mode == OnClose.WAIT), PendingText.WAIT, due)
        if self._limits.final_always and self._final >= 0:
            closed = thinks | (before.phase == Phase.CLOSING)
            natural = closed & (after.phase == Phase.ANSWER) & ~after.forced_end
            due = torch.where(natural, PendingText.FINAL, due)
        pause = state.pause if self._pauses is None else self._pauses(state.pause, token)
        # what a device form never does: take back a close
        return build(BudgetState, state.extensions + extended.long(), due, pause, state.close, state.barred)

    def decide(self, state: Columns, track: Columns) -> Decisions:
        thinks, answers = track.phase == Phase.THINKING, track.phase == Phase.ANSWER
        cursor = torch.where(thinks, track.cursor, START)
        spent = track.thinking + track.injected
        over_limit = spent - self._begun[cursor] >= self._most
        over_reserve = self._room(track, cursor) <= 0
        # the host checks these cases in reverse order: the last assignment takes precedence
        script = torch.full_like(cursor, -1)
        script = torch.where(spent >= self._most, self._complete[cursor], script)
        script = torch.where(over_limit | over_reserve, self._close[cursor], script)
        ending = None
        if self._limits.held:
            holdable = thinks & ~over_reserve
            ending, script = torch.where(holdable, script, -1), torch.where(holdable, -1, script)
        script = torch.where(state.due == PendingText.CLOSE, self._finish[cursor], script)
        if self._wait >= 0:
            script = torch.where(state.due == PendingText.WAIT, self._wait, script)
        script = torch.where(thinks, script, -1)
        if self._final >= 0:
            script = torch.where(answers & (state.due == PendingText.FINAL), self._final, script)
        edits = thinks & (script < 0)
        left = self.left(track, cursor)
        mode = self._mode(state, track, cursor)
        free = edits & (mode == OnClose.FREE)
        room = self._room(track, torch.zeros_like(cursor))
        barred = answers & (script < 0) & torch.where(spent >= self._most, track.opened > 0, room <= 0)
        opening = torch.where(answers, track.cursor, START)
        writes = [EditStep("ban", self._sets, torch.where(barred, self._no_opening[opening, track.line], 0))]
        landing = self._landing
        lands = left <= landing
        within = edits & (left > 0) if self._limits.held else edits  # elsewhere a span holds the close
        if landing:
            amount = self._limits.landing_boost * (landing + 1 - left).double() / landing
            writes.append(
                EditStep("bias", self._sets, torch.where(free & lands & within, self._ramp[cursor], 0), amount)
            )
        writes += [
            EditStep("redirect", self._sets, torch.where(free, self._eos_sets[cursor], 0), self._rest[cursor]),
            EditStep("ban", self._sets, torch.where(edits & (mode == OnClose.BAN), self._attempts[cursor], 0)),
        ]
        if self._limits.wait:
            going_on = torch.where(edits & (mode == OnClose.WAIT), self._wait_sets[cursor], 0)
            writes.append(EditStep("redirect", self._sets, going_on, self._wait_id.expand_as(cursor)))
        else:
            refused = torch.where(edits & (mode == OnClose.REDRAW), self._attempts[cursor], 0)
            writes.append(EditStep("redraw", self._sets, refused))
        certain = (left - self._begun[cursor]).clamp(self._fewest, CHARACTER_BYTES)
        writes.append(EditStep("ban", self._partial, torch.where(within, self._unfinished[certain - self._fewest], 0)))
        close = edits & lands & (state.pause == Pause.END)
        ending = None if ending is None else torch.where(script < 0, ending, -1)
        return decisions(track, *writes, script=script, close=close, ending=ending)

    def _room(self, track: Columns, cursor: Ids) -> Ids:
        if not self._reserves:
            return torch.full_like(cursor, FOREVER)
        room: Ids = track.max_new - self._needed[cursor] - track.emitted
        return room

    def left(self, track: Columns, cursor: Ids) -> Ids:
        """Number of thinking tokens left."""
        spent = track.thinking + track.injected
        return torch.minimum(self._room(track, cursor), self._most - spent + self._begun[cursor])

    def _mode(self, state: Columns, track: Columns, cursor: Ids) -> Ids:
        limits = self._limits
        spent = track.thinking + track.injected
        below = spent - self._begun[cursor] < self._fewest_tokens
        tired = state.extensions >= self._waits
        free = ~below & (tired | (self.left(track, cursor) <= self._landing))
        if not limits.wait:
            return torch.where(free, OnClose.FREE, torch.where(tired, OnClose.BAN, OnClose.REDRAW))
        fits = (spent + len(limits.wait) < self._most) & (
            self._room(track, torch.zeros_like(cursor)) > len(limits.wait)
        )
        return torch.where(
            free, OnClose.FREE, torch.where(fits, OnClose.WAIT, torch.where(below, OnClose.BAN, OnClose.FREE))
        )


def pauses(tables: Tables) -> ByToken:
    """`Sentences.after` by pause and token; all letters are equivalent, and so are all digits."""
    same = bytes(97 if bytes([b]).isalpha() else 48 if bytes([b]).isdigit() else b for b in range(256))
    classes, samples = shapes((*lexicon(tables.vocabulary).texts, b""), same)
    sentences = Sentences(tables.vocabulary)
    steps = [[int(sentences.after(pause, token)) for token in samples] for pause in Pause]
    return ByToken(classes, np.array(steps), tables.device)
