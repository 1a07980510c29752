"""The machines that watch for words and phrases, on the device: thoughts, bans, steps, and AlphaOne's two speeds."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from thinkpace.adapters.tensor.columns import Columns, Ids, Mask, made, where, with_
from thinkpace.adapters.tensor.ending import TensorEnding
from thinkpace.adapters.tensor.tables import PhrasesTable, bounded, per_token
from thinkpace.adapters.tensor.wish import Book, Known, Machine, Wish, Write, wish
from thinkpace.processors.base import Kind
from thinkpace.processors.match import START
from thinkpace.processors.phrases import BEGIN, Phrases
from thinkpace.processors.speed import Speed, SpeedState
from thinkpace.processors.steps import Steps, StepState
from thinkpace.processors.suppress import Suppression
from thinkpace.processors.switching import Penalty, Thoughts, ThoughtState
from thinkpace.types import Phase


class TensorSuppression(Machine):
    """Bans phrases; the state is the cursor in them.

    Args:
        suppression: the host's.
        book: of the program.
    """

    def __init__(self, suppression: Suppression, book: Book) -> None:
        self._table = book.phrases(suppression.phrases)

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        return self._table.step(state, token)

    def decide(self, state: Columns, track: Columns) -> Wish:
        return wish(track, Write("ban", self._table.sets, self._table.completions[state]))


def _followed(
    state: Columns, table: PhrasesTable, before: Columns, after: Columns, token: Ids, own: Mask | None = None
) -> Columns:
    """As the host's: the thoughts after a token each."""
    inside = after.phase == Phase.THINKING
    opens = inside & (before.phase != Phase.THINKING)
    found = table.found(state.cursor, token)
    counts = found if own is None else found & own
    going_on = made(
        ThoughtState,
        table.step(state.cursor, token),
        torch.where(found, after.emitted, state.began),
        state.thoughts + counts.long(),
        state.over,
    )
    never = torch.zeros_like(inside)
    begun = made(ThoughtState, torch.full_like(token, BEGIN), after.emitted, state.thoughts + 1, never)
    return where(opens, begun, where(inside, going_on, state))


class TensorPenalty(Machine):
    """TIP.

    Args:
        penalty: the host's.
        book: of the program.
    """

    def __init__(self, penalty: Penalty, book: Book) -> None:
        self._control, self._beta = penalty.control, bounded(penalty.control.beta)
        self._table = book.phrases(penalty.phrases)
        self._penalised = book.phrases(penalty.penalised)

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        thought, cursor = state
        followed = _followed(thought, self._table, before, after, token)
        if self._control.first_thought == "generation":
            followed = with_(followed, (followed.thoughts == 1) & (thought.thoughts == 0), began=0)
        if self._penalised is self._table:
            return followed, followed.cursor
        stepped = torch.where(before.phase == Phase.THINKING, self._penalised.step(cursor, token), BEGIN)
        return followed, torch.where(after.phase == Phase.THINKING, stepped, cursor)

    def decide(self, state: Columns, track: Columns) -> Wish:
        thought, cursor = state
        young = (track.phase == Phase.THINKING) & (track.emitted - thought.began < self._beta)
        amount = torch.full_like(cursor, -self._control.alpha, dtype=torch.float64)
        which = torch.where(young, self._penalised.completions[cursor], 0)
        return wish(track, Write("bias", self._penalised.sets, which, amount))


class _Replacing:
    """A line break comes in place of whatever would complete a phrase.

    Args:
        phrases: the host's.
        line_break: its id.
        book: of the program.
    """

    def __init__(self, phrases: Phrases, line_break: int, book: Book) -> None:
        self.table = book.phrases(phrases)
        self._line_break = line_break
        self._sets = book.sets()
        self._which = self._sets.added(
            set(phrases.completions(cursor)) - {line_break} for cursor in range(phrases.cursors)
        )

    def write(self, cursor: Ids, mask: Mask) -> Write:
        which = torch.where(mask, self._which[cursor], 0)
        return Write("redirect", self._sets, which, torch.full_like(cursor, self._line_break))

    def replaced(self, cursor: Ids, token: Ids, drawn: Ids) -> Mask:
        """Where it came in place of `drawn`."""
        moved = (drawn >= 0) & (drawn != token) & (token == self._line_break)
        return moved & self.table.found(cursor, drawn.clamp(min=0))


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
        followed = _followed(state, self._replacing.table, before, after, token, drawn == token)
        return with_(followed, replaced, over=True)

    def decide(self, state: Columns, track: Columns) -> Wish:
        thinks = track.phase == Phase.THINKING
        write = self._replacing.write(state.cursor, thinks & (state.thoughts >= self._most))
        return wish(track, write, close=thinks & (state.over | (state.thoughts > self._most)))


class TensorSteps(Machine):
    """So many steps.

    Args:
        steps: the host's.
        book: of the program.
    """

    def __init__(self, steps: Steps, book: Book) -> None:
        self._most = bounded(steps.most)
        self._table = book.phrases(steps.separators)
        holds = {token: 1 for token, text in enumerate(steps.texts) if text.strip()}
        self._holds = per_token(holds, book.size, book.device, torch.bool)

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        inside = after.phase == Phase.THINKING
        opens = inside & (before.phase != Phase.THINKING)
        begun = state.begun | self._holds[token]
        ended = self._table.found(state.cursor, token) & begun
        on = made(StepState, state.steps + ended.long(), begun & ~ended, self._table.step(state.cursor, token))
        anew = made(StepState, state.steps, torch.zeros_like(begun), torch.full_like(token, BEGIN))
        return where(opens, anew, where(inside, on, state))

    def decide(self, state: Columns, track: Columns) -> Wish:
        return wish(track, close=(track.phase == Phase.THINKING) & (state.steps >= self._most))


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
