"""Programs on the device: `Program.step` and its decisions for many rows at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from thinkpace.adapters.tensor.columns import Columns, Ids, Mask, of_host, where
from thinkpace.adapters.tensor.draft import TensorDrafts
from thinkpace.adapters.tensor.ending import TensorEnding, TensorGuard
from thinkpace.adapters.tensor.looking import TensorConfidence, TensorLoops
from thinkpace.adapters.tensor.phrased import TensorPenalty, TensorSpeed, TensorSteps, TensorSuppression, TensorThoughts
from thinkpace.adapters.tensor.structured import TensorStructure
from thinkpace.adapters.tensor.tables import bounded
from thinkpace.adapters.tensor.track import TensorTracker
from thinkpace.adapters.tensor.wish import Book, Known, Machine, Wish, wish
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.base import FOREVER, Kind, Processor
from thinkpace.processors.chain import Chain
from thinkpace.processors.confidence import Confidence
from thinkpace.processors.draft import Drafts
from thinkpace.processors.ending import Ending
from thinkpace.processors.gate import Gate
from thinkpace.processors.guard import Guard
from thinkpace.processors.loops import Loops
from thinkpace.processors.match import START
from thinkpace.processors.program import Program, State
from thinkpace.processors.speed import Speed
from thinkpace.processors.steps import Steps
from thinkpace.processors.structured import Structure
from thinkpace.processors.suppress import Suppression
from thinkpace.processors.switching import Penalty, Thoughts
from thinkpace.processors.vocabulary import Vocabulary
from thinkpace.types import Phase


class TrackColumns(NamedTuple):
    """`Track` in columns, and the limit of each row's own request.

    Args:
        max_new: output tokens at most; `FOREVER` for no limit.
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
    max_new: Ids


class Rows(NamedTuple):
    """The states of many sequences under one program.

    Args:
        track: phases and counts.
        inner: the machines' own.
        script: the number of the phrase that is being written; -1 for none.
        at: how much of it has been written.
    """

    track: TrackColumns
    inner: Columns
    script: Ids
    at: Ids


class TensorChain(Machine):
    """Several machines as one.

    Args:
        parts: in the order of their edits.
    """

    def __init__(self, parts: Sequence[Machine]) -> None:
        self._parts = tuple(parts)

    def columns(self, states: Sequence[Any], device: torch.device) -> Columns:
        return tuple(part.columns([state[i] for state in states], device) for i, part in enumerate(self._parts))

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        return tuple(
            part.observe(own, before, after, token, drawn) for part, own in zip(self._parts, state, strict=True)
        )

    def wants(self, state: Columns, track: Columns) -> Mapping[Kind, Mask]:
        found: dict[Kind, Mask] = {}
        for part, own in zip(self._parts, state, strict=True):
            for kind, mask in part.wants(own, track).items():
                found[kind] = found[kind] | mask if kind in found else mask
        return found

    def inform(self, state: Columns, track: Columns, known: Known) -> Columns:
        return tuple(part.inform(own, track, known) for part, own in zip(self._parts, state, strict=True))

    def decide(self, state: Columns, track: Columns) -> Wish:
        all_ = wish(track)
        for part, own in zip(self._parts, state, strict=True):
            one = part.decide(own, track)
            torn = (all_.script >= 0) & (one.script >= 0) & (all_.script != one.script)
            all_ = Wish(
                torch.where(all_.script < 0, one.script, all_.script),
                all_.close | one.close,
                all_.torn | one.torn | torn,
                (*all_.writes, *one.writes),
            )
        return all_


class TensorGate(Machine):
    """A machine that is silenced outside.

    Args:
        gate: the host's.
        inner: the machine.
    """

    def __init__(self, gate: Gate, inner: Machine) -> None:
        self._phase, self._tokens, self._inner = gate.phase, bounded(gate.tokens), inner

    def _open(self, track: Columns) -> Mask:
        late: Mask = track.emitted >= self._tokens
        return late if self._phase is None else late & (track.phase == self._phase)

    def columns(self, states: Sequence[Any], device: torch.device) -> Columns:
        return self._inner.columns(states, device)

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        return self._inner.observe(state, before, after, token, drawn)

    def wants(self, state: Columns, track: Columns) -> Mapping[Kind, Mask]:
        opened = self._open(track)
        return {kind: mask & opened for kind, mask in self._inner.wants(state, track).items()}

    def inform(self, state: Columns, track: Columns, known: Known) -> Columns:
        return where(self._open(track), self._inner.inform(state, track, known), state)

    def decide(self, state: Columns, track: Columns) -> Wish:
        opened, inner = self._open(track), self._inner.decide(state, track)
        return Wish(
            torch.where(opened, inner.script, -1),
            inner.close & opened,
            inner.torn & opened,
            tuple(write.where(opened) for write in inner.writes),
        )


def machine(processor: Processor[Any], book: Book) -> Machine:
    """The tensor form of a processor.

    Raises:
        UnsupportedControl: if it has none.
    """
    match processor:
        case Chain():
            return TensorChain([machine(part, book) for part in processor.parts])
        case Gate():
            return TensorGate(processor, machine(processor.inner, book))
        case Confidence() if processor.kind == "trial":
            raise UnsupportedControl("a trial answer is a fork, which no device form has: use another rule")
    form = _FORMS.get(type(processor))
    if form is None:
        raise UnsupportedControl(f"{type(processor).__name__} has no form for devices")
    made: Machine = form(processor, book)
    return made


_FORMS: Mapping[type, Any] = {
    Confidence: TensorConfidence,
    Drafts: TensorDrafts,
    Ending: TensorEnding,
    Guard: TensorGuard,
    Loops: TensorLoops,
    Penalty: TensorPenalty,
    Speed: TensorSpeed,
    Steps: TensorSteps,
    Structure: TensorStructure,
    Suppression: TensorSuppression,
    Thoughts: TensorThoughts,
}


class TensorProgram:
    """A program for many rows, each with a request limit of its own.

    Args:
        program: the host's, compiled without a request limit or with any.
        vocabulary: that it was compiled for.
        device: where its tables are.

    Raises:
        UnsupportedControl: if one of its machines has no form for devices.
    """

    def __init__(self, program: Program, vocabulary: Vocabulary, device: torch.device) -> None:
        self._device = device
        self._tracker = TensorTracker(program.tracker, vocabulary, device)
        book = Book(vocabulary, device)
        self._nothing = vocabulary.size
        self._machine = machine(program.processor, book)
        closes = program.tracker.closes
        self._scripts = book.scripts
        self._close = book.ids(*(book.script(program.closing.script("limit", c)) for c in range(len(closes))))
        self._completions = book.sets()
        self._completing = self._completions.added(closes.completions(cursor) for cursor in range(len(closes)))
        self._least = bounded(program.closing.min_tokens)
        self._begun = book.ids(*(len(closes.begun(cursor)) for cursor in range(len(closes))))
        scripts = book.scripts
        longest = max(len(script.ids) for script in scripts)
        self._ids = book.ids(*(i for s in scripts for i in (*s.ids, *[-1] * (longest - len(s.ids))))).view(-1, longest)
        self._lengths = book.ids(*(len(script.ids) for script in scripts))
        self._closes, self._forced = (
            torch.tensor([getattr(script, name) for script in scripts], device=device) for name in ("closes", "forced")
        )
        self._script_begun = book.ids(*(len(script.begun) for script in scripts))
        self._replaced = book.ids(*(script.replaced for script in scripts))

    def number(self, state: State) -> int:
        """The number of the phrase that a host's state is writing; -1 for none."""
        if state.script is None:
            return -1
        return self._scripts.index(replace(state.script, why=""))

    def columns(self, states: Sequence[State], max_new: Sequence[int | None]) -> Rows:
        """The host's states as rows, before their decisions: phrases that are under way stay so.

        Args:
            states: after the same or different prompts and outputs.
            max_new: the limit of each request.
        """
        limits = [FOREVER if most is None else bounded(most) for most in max_new]
        tracks = [(*state.track, limit) for state, limit in zip(states, limits, strict=True)]
        return Rows(
            TrackColumns(*of_host(tracks, self._device)),
            self._machine.columns([state.inner for state in states], self._device),
            torch.tensor([self.number(s) if s.at else -1 for s in states], device=self._device),
            torch.tensor([state.at for state in states], device=self._device),
        )

    def wants(self, rows: Rows) -> Mapping[Kind, Mask]:
        """The rows where a number is needed before the decision."""
        free = (rows.script < 0) & ~rows.track.ended
        return {kind: mask & free for kind, mask in self._machine.wants(rows.inner, rows.track).items()}

    def likeliest_close(self, scores: torch.Tensor, rows: Rows) -> torch.Tensor:
        """Float[rows]: of each row the largest score of an id that would complete a closing marker now."""
        thinks = (rows.track.phase == Phase.THINKING) | (rows.track.phase == Phase.CLOSING)
        ids, counts = self._completions.of(self._completing[torch.where(thinks, rows.track.cursor, START)])
        return scores.gather(1, ids).masked_fill(~counts, -torch.inf).amax(1)

    def decide(self, rows: Rows, known: Known) -> tuple[Rows, Ids, Wish]:
        """Decide about the next tokens.

        Args:
            rows: before the decision.
            known: the numbers that were wanted.

        Returns:
            The rows with what was decided, the ids that come for certain (-1 for none), and the rest as wishes whose
            writes leave the other rows alone.
        """
        free = (rows.script < 0) & ~rows.track.ended
        inner = where(free, self._machine.inform(rows.inner, rows.track, known), rows.inner) if known else rows.inner
        found = self._machine.decide(inner, rows.track)
        track = rows.track
        thinks = track.phase == Phase.THINKING
        cursor = torch.where(thinks, track.cursor, START)
        spent = track.thinking + track.injected
        allowed = thinks & (track.missing == 0) & (spent - self._begun[cursor] >= self._least)
        script = torch.where((found.script < 0) & found.close & allowed, self._close[cursor], found.script)
        script = torch.where(free, script, rows.script)
        edited = free & (script < 0)
        forced = torch.where(script >= 0, self._ids[script, rows.at.clamp(max=self._ids.shape[1] - 1)], -1)
        writes = tuple(step.where(edited) for step in found.writes)
        return rows._replace(inner=inner, script=script), forced, Wish(script, found.close, found.torn & free, writes)

    def _known(self, token: Ids) -> Ids:
        """Ids that stand for something, and one for all others."""
        return torch.where((token < 0) | (token > self._nothing), self._nothing, token)

    def step(self, rows: Rows, token: Ids, drawn: Ids, redrew: Mask) -> Rows:
        """The rows after one more token each, before their decisions; rows that have ended stay as they are.

        Args:
            rows: with their decisions.
            token: the ids that came.
            drawn: the ids that the model drew.
            redrew: where `drawn` was refused and drawn again.
        """
        token, drawn = self._known(token), torch.where(drawn < 0, drawn, self._known(drawn))
        number = rows.script.clamp(min=0)
        writing = rows.script >= 0
        written = writing & (token == self._ids[number, rows.at.clamp(max=self._ids.shape[1] - 1)])
        before = self._tracker.abandoned(rows.track, writing & ~written)
        done = written & (rows.at + 1 >= self._lengths[number])
        first = written & (rows.at == 0)
        closing = self._tracker.closing(
            before,
            token,
            torch.where(first, self._script_begun[number], 0),
            torch.where(first, self._replaced[number], 0),
            done,
            self._forced[number],
        )
        after = where(written & self._closes[number], closing, self._tracker.drawn(before, token, written))
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
