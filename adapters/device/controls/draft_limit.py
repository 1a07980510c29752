"""`DraftLimit` on the device: words are counted by lookup tables."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from thinkpace.adapters.device.columns import Columns, Ids, build, where
from thinkpace.adapters.device.machine import Decisions, DeviceMachine, EditStep, Tables, decisions
from thinkpace.adapters.device.tables import ByToken, bounded
from thinkpace.processors.controls.draft_limit import DraftLimitMachine
from thinkpace.processors.text.automaton import START
from thinkpace.processors.text.words import WordState
from thinkpace.types import Phase

_WORDS = 3  # number of values of `WordState.word`


class DeviceDraftLimit(DeviceMachine):
    """Limits the words of each step.

    Args:
        drafts: the host's.
        tables: of the program.
    """

    def __init__(self, drafts: DraftLimitMachine, tables: Tables) -> None:
        self._control, self._separator = drafts.control, drafts.separator
        counter = drafts.words
        classes, samples = counter.shapes
        texts = [*(counter.texts[token] for token in samples), b""]  # the last entry is for ids beyond the vocabulary
        classes = [*classes, len(samples)]
        states = [WordState(0, word, cursor) for word in range(_WORDS) for cursor in range(counter.cursors)]
        after = [[counter.walk(state.word, state.separator, text) for text in texts] for state in states]

        def table(values: list[list[int]]) -> ByToken:
            return ByToken(classes, np.array(values), tables.device)

        self._before = table([[walk[0] for walk in row] for row in after])
        self._since = table([[walk[1] for walk in row] for row in after])
        self._word = table([[walk[2] for walk in row] for row in after])
        self._cursor = table([[walk[3] for walk in row] for row in after])
        self._ended = table([[walk[4] for walk in row] for row in after])
        self._cursors = counter.cursors

        def edited(allowed: int) -> list[Iterable[int]]:
            if self._control.form == "hard":
                return [set(counter.beyond(state, allowed)) - {self._separator} for state in states]
            return [() if allowed else counter.ending(state) for state in states]

        self._sets = tables.sets()
        rows = list[Ids]()
        while len(rows) <= self._control.words_per_step and (not rows or bool(rows[-1].any())):
            rows.append(self._sets.added(edited(len(rows))))
        self._which = torch.stack(rows)  # by words left and state; with more words left any token may come
        self._most = bounded(self._control.words_per_step)

    def _at(self, state: Columns) -> Ids:
        at: Ids = state.word * self._cursors + state.separator
        return at

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        inside = (after.phase == Phase.THINKING) & (before.phase == Phase.THINKING)
        at = self._at(state)
        ended = self._ended(at, token)
        words = torch.where(ended, self._since(at, token), state.words + self._before(at, token))
        on = build(WordState, words, self._word(at, token), self._cursor(at, token))
        return where(inside, on, build(WordState, *(torch.full_like(token, value) for value in WordState())))

    def decide(self, state: Columns, track: Columns) -> Decisions:
        acts = (track.phase == Phase.THINKING) & (track.cursor == START)
        allowed = (self._most - state.words).clamp(0, len(self._which) - 1)
        which = torch.where(acts, self._which[allowed, self._at(state)], 0)
        if self._control.form == "hard":
            return decisions(track, EditStep("redirect", self._sets, which, torch.full_like(which, self._separator)))
        penalty = torch.full_like(which, self._control.penalty, dtype=torch.float64)
        return decisions(track, EditStep("bias", self._sets, which, penalty))
