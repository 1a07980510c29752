"""The machine that decides when thinking ends: limits, minimum, and "Wait" instead of closing.

`ThinkBudget` and `BudgetForcing` are two ways of writing it down. All id lists are fixed when it is built, one entry
per cursor of the closing matcher; what changes along a sequence is a counter and a flag.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from thinkpace.errors import UnsupportedControl
from thinkpace.processors.base import Binding, Script
from thinkpace.processors.edit import KEEP, Edit, redirect, redraw
from thinkpace.processors.match import START, Matcher
from thinkpace.processors.phase import Track
from thinkpace.processors.vocabulary import TokenIds
from thinkpace.types import Phase


class Mode(IntEnum):
    """What an attempt to close (or to end the sequence) meets while thinking."""

    FREE = 0  #: it is honoured; ending the sequence counts as closing
    WAIT = 1  #: it becomes the first token of `wait`
    REDRAW = 2  #: it is refused, counted, and another token is drawn
    BAN = 3  #: it cannot happen


class Due(IntEnum):
    """What has to be written next."""

    NOTHING = 0
    WAIT = 1  #: the rest of `wait`
    CLOSE = 2  #: the rest of a close that took the place of an end of sequence
    FINAL = 3  #: the final text after a natural close


@dataclass(frozen=True, slots=True)
class EndingState:
    """Args: extensions: closes turned into going on. due: what has to be written next."""

    extensions: int = 0
    due: Due = Due.NOTHING


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers, and the phrases as ids.

    Args:
        max_tokens: thinking tokens at most; None for no limit.
        min_tokens: thinking tokens at least.
        waits: attempts to close that are turned into going on, whatever the minimum.
        wait: what is written instead of closing; empty to write nothing.
        final: what is written after the close; empty for nothing.
        final_always: whether `final` is written after a natural close too.
        max_new_tokens: the request's own limit; None if there is none.
        answer_reserve: output tokens kept for the answer inside `max_new_tokens`.
    """

    max_tokens: int | None
    min_tokens: int
    waits: int
    wait: TokenIds
    final: TokenIds
    final_always: bool
    max_new_tokens: int | None
    answer_reserve: int


class Ending:
    """The processor. Built by the controls in `budget.py`.

    Raises:
        UnsupportedControl: if the phrases and the markers cannot work together, or the request's limit leaves no room.
    """

    __slots__ = (
        "_after_close",
        "_begun",
        "_complete",
        "_edits",
        "_finish",
        "_no_opening",
        "_scripts",
        "_wait_script",
        "eos",
        "limits",
    )

    def __init__(self, limits: Limits, binding: Binding) -> None:
        markers, eos = binding.markers, binding.vocabulary.eos
        closes, opens = Matcher(markers.closes), Matcher(markers.opens)
        self.limits, self.eos = limits, eos
        self._check(binding, closes, opens)
        self._scripts = {
            why: [
                Script(
                    markers.rest_of_close(closes.begun(cursor)) + limits.final, why, closes.begun(cursor), closes=True
                )
                for cursor in range(len(closes))
            ]
            for why in ("limit", "reserve")
        }
        self._wait_script = Script(limits.wait[1:], "wait") if len(limits.wait) > 1 else None
        self._after_close = Script(markers.after_close + limits.final, "final") if limits.final else None
        self._begun = [len(closes.begun(cursor)) for cursor in range(len(closes))]
        self._finish = []  # what is left of a close whose last token took the place of an end of sequence
        self._complete = []  # what is left of a close that the model has begun
        self._edits: dict[Mode, list[Edit]] = {mode: [] for mode in Mode}
        for cursor in range(len(closes)):
            begun = closes.begun(cursor)
            rest = min(
                (c[len(begun) :] for c in markers.closes if c[: len(begun)] == begun and c != begun),
                key=len,
                default=(),
            )
            self._finish.append(Script(rest, "end of sequence", begun, closes=True, forced=False, replaced=1))
            self._complete.append(Script(rest, "begun close", begun, closes=True, forced=False))
            attempts = eos | set(closes.completions(cursor))
            self._edits[Mode.FREE].append(redirect(eos, rest[0]) if rest else KEEP)
            self._edits[Mode.WAIT].append(redirect(attempts, limits.wait[0]) if limits.wait else KEEP)
            self._edits[Mode.REDRAW].append(redraw(attempts))
            self._edits[Mode.BAN].append(Edit(ban=frozenset(attempts)))
        self._no_opening = [Edit(ban=frozenset(opens.completions(cursor))) for cursor in range(len(opens))]
        closing = len(self._scripts["limit"][0].ids)
        needed = limits.min_tokens + closing + limits.answer_reserve
        if limits.max_new_tokens is not None and needed > limits.max_new_tokens:
            raise UnsupportedControl(
                f"max_new_tokens={limits.max_new_tokens} leaves no room for thinking: closing takes {closing} tokens, "
                f"min_tokens={limits.min_tokens} are asked for and answer_reserve={limits.answer_reserve} are kept for "
                "the answer; raise the first or lower the others"
            )

    def _check(self, binding: Binding, closes: Matcher, opens: Matcher) -> None:
        """Phrases that would end, open or close something by themselves cannot be kept account of."""
        limits = self.limits
        for close in closes.patterns:
            if self.eos & set(close):
                raise UnsupportedControl(
                    "the closing marker ends the sequence in this vocabulary: thinking cannot be closed apart"
                )
        for name, ids in (
            ("wait", limits.wait),
            ("final", limits.final),
            ("forced_close", binding.markers.forced_close),
        ):
            if self.eos & set(ids):
                raise UnsupportedControl(f"{name} must not hold an end-of-sequence token: write another text")
            if _holds(opens, ids):
                raise UnsupportedControl(f"{name} must not hold the opening marker: write another text")
            if name != "forced_close" and _holds(closes, ids):
                raise UnsupportedControl(f"{name} must not hold the closing marker: write another text")
        if limits.wait and any(limits.wait[0] in closes.completions(cursor) for cursor in range(len(closes))):
            raise UnsupportedControl("wait must not begin with the end of the closing marker: write another text")

    def init(self, track: Track) -> EndingState:
        return EndingState()

    def observe(self, state: EndingState, before: Track, after: Track, token: int, drawn: int) -> EndingState:
        extensions, due = state.extensions, Due.NOTHING
        if drawn >= 0 and drawn != token and before.phase is Phase.THINKING:
            mode = self._mode(state, before)
            edit = self._edits[mode][before.cursor]
            if drawn in edit.redirect or drawn in edit.redraw:
                if mode is Mode.FREE:
                    due = Due.CLOSE if after.phase is Phase.THINKING else Due.NOTHING
                else:
                    extensions += 1
                    due = Due.WAIT if mode is Mode.WAIT and self._wait_script is not None else Due.NOTHING
        if (
            self.limits.final_always
            and self._after_close is not None
            and before.phase in (Phase.THINKING, Phase.CLOSING)
            and after.phase is Phase.ANSWER
            and not after.forced_end
        ):
            due = Due.FINAL
        if due is state.due and extensions == state.extensions:
            return state
        return EndingState(extensions, due)

    def decide(self, state: EndingState, track: Track) -> Edit | Script:
        if track.phase is Phase.THINKING:
            if state.due is Due.WAIT and self._wait_script is not None:
                return self._wait_script
            if state.due is Due.CLOSE:
                return self._finish[track.cursor]
            if why := self._over(track, track.cursor):
                return self._scripts[why][track.cursor]
            if self.limits.max_tokens is not None and track.spent >= self.limits.max_tokens:
                # the limit is reached with the begun close alone: it is completed, or its tokens would count
                return self._complete[track.cursor]
            return self._edits[self._mode(state, track)][track.cursor]
        if track.phase is Phase.ANSWER:
            if state.due is Due.FINAL and self._after_close is not None:
                return self._after_close
            over = self._over(track, 0)
            if over == "reserve" or (over and track.opened):
                return self._no_opening[track.cursor]
        return KEEP

    def explain(self, state: EndingState, before: Track, token: int, drawn: int) -> str:
        if before.phase is not Phase.THINKING:
            return ""
        mode = self._mode(state, before)
        edit = self._edits[mode][before.cursor]
        if drawn not in edit.redirect and drawn not in edit.redraw:
            return ""
        return {Mode.FREE: "end of sequence", Mode.WAIT: "wait", Mode.REDRAW: "ignored close"}.get(mode, "")

    def _over(self, track: Track, cursor: int) -> str:
        """Why thinking must stop here: "limit", "reserve", or empty if it need not."""
        limits = self.limits
        if limits.max_tokens is not None and track.spent - self._begun[cursor] >= limits.max_tokens:
            return "limit"
        if limits.max_new_tokens is not None:
            needed = len(self._scripts["reserve"][cursor].ids) + limits.answer_reserve
            if track.emitted + needed >= limits.max_new_tokens:
                return "reserve"
        return ""

    def _mode(self, state: EndingState, track: Track) -> Mode:
        limits = self.limits
        below = track.spent - self._begun[track.cursor] < limits.min_tokens
        if state.extensions >= limits.waits and not below:
            return Mode.FREE
        if not limits.wait:
            return Mode.REDRAW if state.extensions < limits.waits else Mode.BAN
        if self._has_room_for_wait(track):
            return Mode.WAIT
        return Mode.BAN if below else Mode.FREE

    def _has_room_for_wait(self, track: Track) -> bool:
        """Whether all of `wait` fits, and at least one token after it."""
        limits, wait = self.limits, len(self.limits.wait)
        if limits.max_tokens is not None and track.spent + wait >= limits.max_tokens:
            return False
        if limits.max_new_tokens is None:
            return True
        needed = len(self._scripts["reserve"][0].ids) + limits.answer_reserve
        return track.emitted + wait + needed < limits.max_new_tokens


def _holds(matcher: Matcher, ids: TokenIds) -> bool:
    cursor = START
    for token in ids:
        cursor = matcher.step(cursor, token)
        if matcher.found(cursor) is not None:
            return True
    return False
