"""Programs on the device: `Program.step` and its decisions for many rows at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from thinkpace.adapters.device.columns import Columns, Ids, Mask, from_host, where
from thinkpace.adapters.device.forms import device_form
from thinkpace.adapters.device.machine import Decisions, KnownStatistics, Tables
from thinkpace.adapters.device.tables import bounded
from thinkpace.adapters.device.tracker import DeviceTracker
from thinkpace.processors.core.decisions import FOREVER, Statistic
from thinkpace.processors.core.program import Program, State
from thinkpace.processors.text.automaton import START
from thinkpace.processors.text.vocabulary import Vocabulary
from thinkpace.types import Phase


class TrackColumns(NamedTuple):
    """`Track` in columns, with the limit of each row's request.

    Args:
        max_new: maximum number of output tokens; `FOREVER` for no limit.
    """

    phase: Ids
    cursor: Ids
    emitted: Ids
    thinking: Ids
    injected: Ids
    closing: Ids
    marker: Ids
    answer: Ids
    opened: Ids
    forced_end: Mask
    answer_from: Ids
    ended: Mask
    missing: Ids
    line: Ids
    max_new: Ids


class Rows(NamedTuple):
    """The states of many sequences under one program.

    Args:
        track: phases and counts.
        inner: the states of the machines.
        script: index of the phrase that is being written; -1 for none.
        at: number of its tokens already written.
    """

    track: TrackColumns
    inner: Columns
    script: Ids
    at: Ids


class DeviceProgram:
    """A program for many rows, each with its own request limit.

    Args:
        program: the host's program, compiled with or without a request limit.
        vocabulary: the vocabulary it was compiled for.
        device: holds the tables.

    Raises:
        UnsupportedControl: if one of its machines has no device form.
    """

    def __init__(self, program: Program, vocabulary: Vocabulary, device: torch.device) -> None:
        self._device = device
        self._tracker = DeviceTracker(program.tracker, vocabulary, device)
        tables = Tables(vocabulary, device)
        self._nothing = vocabulary.size
        self._machine = device_form(program.processor, tables)
        closes = program.tracker.close_matcher
        self._scripts = tables.scripts
        self._close = tables.ids(*(tables.script(program.closing.script("limit", c)) for c in range(len(closes))))
        self._advances = tables.sets()
        self._advancing = self._advances.added(closes.advances(cursor) for cursor in range(len(closes)))
        self._least = bounded(program.closing.min_tokens)
        self._begun = tables.ids(*(len(closes.partial_match(cursor)) for cursor in range(len(closes))))
        scripts = tables.scripts
        longest = max(len(script.ids) for script in scripts)
        self._ids = tables.ids(*(i for s in scripts for i in (*s.ids, *[-1] * (longest - len(s.ids))))).view(
            -1, longest
        )
        self._lengths = tables.ids(*(len(script.ids) for script in scripts))
        self._closes, self._forced = (
            torch.tensor([getattr(script, name) for script in scripts], device=device)
            for name in ("ends_thinking", "forced")
        )
        self._script_begun = tables.ids(*(len(script.typed_marker) for script in scripts))
        self._replaced = tables.ids(*(script.replaced for script in scripts))

    def number(self, state: State) -> int:
        """The index of the phrase that a host state is writing; -1 for none."""
        if state.script is None:
            return -1
        return self._scripts.index(replace(state.script, why=""))

    def columns(self, states: Sequence[State], max_new: Sequence[int | None]) -> Rows:
        """The host's states as rows, before their decisions; phrases already begun continue.

        Args:
            states: after the same or different prompts and outputs.
            max_new: the limit of each request.
        """
        limits = [FOREVER if most is None else bounded(most) for most in max_new]
        tracks = [(*state.track, limit) for state, limit in zip(states, limits, strict=True)]
        return Rows(
            TrackColumns(*from_host(tracks, self._device)),
            self._machine.columns([state.inner for state in states], self._device),
            torch.tensor([self.number(s) if s.at else -1 for s in states], device=self._device),
            torch.tensor([state.at for state in states], device=self._device),
        )

    def wants(self, rows: Rows) -> Mapping[Statistic, Mask]:
        """Row statistics requested before the decision, with the rows that request them."""
        free = (rows.script < 0) & ~rows.track.ended
        return {kind: mask & free for kind, mask in self._machine.wants(rows.inner, rows.track).items()}

    def likeliest_close(self, scores: torch.Tensor, rows: Rows) -> torch.Tensor:
        """Float[rows]: for each row the largest score of an id that would begin a closing marker, or continue one."""
        thinks = (rows.track.phase == Phase.THINKING) | (rows.track.phase == Phase.CLOSING)
        ids, counts = self._advances.of(self._advancing[torch.where(thinks, rows.track.cursor, START)])
        return scores.gather(1, ids).masked_fill(~counts, -torch.inf).amax(1)

    def decide(self, rows: Rows, known: KnownStatistics) -> tuple[Rows, Ids, Decisions]:
        """Decide about the next tokens.

        Args:
            rows: before the decision.
            known: the requested row statistics.

        Returns:
            The rows with their decisions; the ids that come for certain (-1 for none); and the decisions, whose writes
            leave all rows unchanged in which a phrase is written or that have ended.
        """
        free = (rows.script < 0) & ~rows.track.ended
        inner = where(free, self._machine.receive(rows.inner, rows.track, known), rows.inner) if known else rows.inner
        decided = self._machine.decide(inner, rows.track)
        track = rows.track
        thinks = track.phase == Phase.THINKING
        cursor = torch.where(thinks, track.cursor, START)
        spent = track.thinking + track.injected
        allowed = thinks & (track.missing == 0) & (spent - self._begun[cursor] >= self._least)
        close = decided.close & allowed
        if decided.ending is None:
            script = torch.where((decided.script < 0) & close, self._close[cursor], decided.script)
        else:
            ending = torch.where((decided.ending < 0) & close, self._close[cursor], decided.ending)
            inner, held = self._machine.hold(inner, track, free & (decided.script < 0) & (ending >= 0))
            script = torch.where((decided.script < 0) & ~held, ending, decided.script)
        script = torch.where(free, script, rows.script)
        edited = free & (script < 0)
        forced = torch.where(script >= 0, self._ids[script, rows.at.clamp(max=self._ids.shape[1] - 1)], -1)
        writes = tuple(step.where(edited) for step in decided.writes)
        return (
            rows._replace(inner=inner, script=script),
            forced,
            Decisions(script, decided.close, decided.conflict & free, decided.ending, writes),
        )

    def _known(self, token: Ids) -> Ids:
        """Maps all ids outside the vocabulary to one id."""
        return torch.where((token < 0) | (token > self._nothing), self._nothing, token)

    def step(self, rows: Rows, token: Ids, drawn: Ids, redrew: Mask) -> Rows:
        """The rows after one more token each, before their decisions; rows that have ended stay unchanged.

        Args:
            rows: with their decisions.
            token: the generated ids.
            drawn: the ids that the model really drew.
            redrew: where `drawn` was refused and another id was drawn.
        """
        token, drawn = self._known(token), torch.where(drawn < 0, drawn, self._known(drawn))
        number = rows.script.clamp(min=0)
        writing = rows.script >= 0
        written = writing & (token == self._ids[number, rows.at.clamp(max=self._ids.shape[1] - 1)])
        before = self._tracker.after_divergence(rows.track, writing & ~written)
        done = written & (rows.at + 1 >= self._lengths[number])
        first = written & (rows.at == 0)
        closing = self._tracker.after_close_token(
            before,
            token,
            torch.where(first, self._script_begun[number], 0),
            torch.where(first, self._replaced[number], 0),
            done,
            self._forced[number],
        )
        after = where(written & self._closes[number], closing, self._tracker.after_token(before, token, written))
        replaced = ~written & (drawn != token) & ~redrew
        thinks = (before.phase == Phase.THINKING) & (after.phase == Phase.THINKING)
        moved = (replaced & thinks).long()
        after = after._replace(thinking=after.thinking - moved, injected=after.injected + moved)
        observed = self._machine.observe(rows.inner, before, after, token, torch.where(written, -1, drawn))
        inner = where(~written & after.ended, rows.inner, observed)
        going_on = written & ~done
        stepped = Rows(after, inner, torch.where(going_on, rows.script, -1), torch.where(going_on, rows.at + 1, 0))
        result: Rows = where(rows.track.ended, rows, stepped)
        return result
