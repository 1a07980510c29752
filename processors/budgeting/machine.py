"""The processor that decides when thinking ends: limits, minimum, landing, and "Wait" instead of closing.

`ThinkBudget` and `BudgetForcing` compile into it. Everything that depends on the vocabulary is computed when it is
built; the state along a sequence is a counter and two small numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from thinkpace.errors import UnsupportedControl
from thinkpace.processors.budgeting.limits import Limits
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.closing import ClosingSequence, check_phrases
from thinkpace.processors.core.decisions import END_OF_SEQUENCE, FOREVER, Close, Decision, Script, TakeBack
from thinkpace.processors.core.edit import KEEP, KNOWN_EDITS, Edit, bias, redirect, redraw
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.tracker import Track
from thinkpace.processors.text.automaton import START, Matcher, matcher
from thinkpace.processors.text.lexicon import lexicon
from thinkpace.processors.text.openings import Line, openings
from thinkpace.processors.text.sentences import Pause, Sentences
from thinkpace.processors.text.vocabulary import TokenIds
from thinkpace.types import Phase

CHARACTER_BYTES = 4  # length of the longest character in UTF-8


class OnClose(IntEnum):
    """How an attempt to close (or to end the sequence) in thinking is handled."""

    FREE = 0  #: it is honoured; ending the sequence counts as closing
    WAIT = 1  #: it becomes the first token of `wait`
    REDRAW = 2  #: it is refused, counted, and another token is drawn
    BAN = 3  #: it is banned


class PendingText(IntEnum):
    """The text that must be written next."""

    NOTHING = 0
    WAIT = 1  #: the rest of `wait`
    CLOSE = 2  #: the rest of a close that replaced an end of sequence
    FINAL = 3  #: the final text after a natural close
    TAKE_BACK = 4  #: nothing: a close of several tokens of plain text is to be taken back
    WAIT_ANEW = 5  #: all of `wait`, after a close was taken back


class BudgetState(NamedTuple):
    """State of one sequence under a budget."""

    extensions: int = 0  #: number of closes that were replaced or refused
    due: PendingText = PendingText.NOTHING  #: the text that must be written next
    pause: Pause = Pause.NONE  #: what the text so far ends with
    close: int = 0  #: index of the spelling of the close that is, or was, taken back
    barred: bool = False  #: whether no close may begin here, since one was taken back


class BudgetMachine(Processor[BudgetState]):
    """The processor of all budgets. Built by the controls that inherit from `Budget`.

    Raises:
        UnsupportedControl: if the phrases conflict with the markers, or the request's limit leaves no room.
    """

    __slots__ = (
        "_edits",
        "_emitted_turns",
        "_known",
        "_no_opening",
        "_partial",
        "_ramp",
        "_sentences",
        "_spent_turns",
        "_wake_tokens",
        "after_close",
        "anew",
        "bar",
        "closes",
        "closing",
        "complete",
        "deciding",
        "eos",
        "finish",
        "limits",
        "openings",
        "plain",
        "request_limit",
        "spellings",
        "wait_lengths",
        "wait_script",
    )

    def __init__(self, limits: Limits, closing: ClosingSequence, binding: Binding) -> None:
        markers, eos = binding.markers, binding.vocabulary.eos
        self.closes = closes = matcher(markers.close_spellings)
        self.limits, self.eos, self.closing = limits, eos, closing
        self.spellings, self.deciding = markers.close_spellings, markers.deciding
        #: closes that are taken back where they are refused; empty where the engine cannot
        self.plain = markers.plain_closes if binding.takes_back else frozenset()
        #: by spelling: what is written after it was taken back
        self.anew = [Script(before + limits.wait, "wait") if limits.wait else None for before in markers.before_close]
        #: numbers of tokens that a wait may take
        self.wait_lengths = {len(limits.wait), *(len(s.ids) for s in self.anew if s is not None and self.plain)}
        self.bar = Edit(ban=frozenset(ids[0] for ids in self.plain))
        self._check(binding, closes)
        self.wait_script = Script(limits.wait[1:], "wait") if len(limits.wait) > 1 else None
        self.after_close = Script(markers.after_close + closing.final, "final") if closing.final else None
        self.finish = []  # per cursor: rest of a close whose last token replaced an end of sequence
        self.complete = []  # per cursor: rest of a close that the model has started
        self._ramp = []  # per cursor: tokens that continue a close, or start one
        self._edits: dict[OnClose, list[Edit]] = {mode: [] for mode in OnClose}
        rests = markers.shortest_rests()
        for cursor in range(len(closes)):
            typed = closes.partial_match(cursor)
            rest = rests.get(typed, ())
            self.finish.append(Script(rest, END_OF_SEQUENCE, typed, ends_thinking=True, forced=False, replaced=1))
            self.complete.append(Script(rest, "begun close", typed, ends_thinking=True, forced=False))
            self._ramp.append(closes.advances(cursor))
            attempts = self.attempts(cursor)
            self._edits[OnClose.FREE].append(redirect(eos, rest[0]) if rest else KEEP)
            self._edits[OnClose.WAIT].append(redirect(attempts, limits.wait[0]) if limits.wait else KEEP)
            self._edits[OnClose.REDRAW].append(redraw(attempts))
            self._edits[OnClose.BAN].append(Edit(ban=frozenset(attempts)))
        self.openings = openings(binding.vocabulary, markers)
        self._no_opening = {
            (cursor, line): Edit(ban=frozenset(self.openings.completions(cursor, line)))
            for cursor in range(len(self.openings.lengths))
            for line in Line
        }
        self._partial = lexicon(binding.vocabulary).partial
        self._sentences = Sentences(binding.vocabulary) if limits.landing else None
        self._known: dict[tuple[OnClose, int, int], Edit] = {}
        self._spent_turns = (FOREVER, *({limits.min_tokens} | _turns(limits.max_tokens, limits, self.wait_lengths)))
        reserves = limits.max_new_tokens is not None and limits.answer_reserve is not None
        self.request_limit = limits.max_new_tokens if reserves else None
        needed = closing.length + (limits.answer_reserve or 0)
        latest = None if self.request_limit is None else self.request_limit - needed
        self._emitted_turns = tuple(_turns(latest, limits, self.wait_lengths))
        self._wake_tokens = eos.union(limits.wait[:1], self.deciding, *markers.close_spellings, *markers.open_spellings)
        if latest is not None and limits.min_tokens > latest:
            raise UnsupportedControl(
                f"max_new_tokens={limits.max_new_tokens} leaves no room for thinking: closing takes {closing.length} "
                f"tokens, min_tokens={limits.min_tokens} are asked for and answer_reserve={limits.answer_reserve} are "
                "kept for the answer; raise the first or lower the others",
                field="max_new_tokens",
            )

    def _check(self, binding: Binding, closes: Matcher) -> None:
        """Refuse markers and phrases with which tracking would go wrong."""
        limits = self.limits
        for close in closes.patterns:
            if self.eos & set(close):
                raise UnsupportedControl(
                    "the closing marker ends the sequence in this vocabulary: thinking cannot be closed apart"
                )
        closing, forced = self.closing, binding.markers.forced_close
        phrases = {"wait": limits.wait, "message": closing.message, "final": closing.final, "forced_close": forced}
        check_phrases(binding, phrases)
        if limits.wait and any(limits.wait[0] in self.attempts(cursor) for cursor in range(len(closes))):
            raise UnsupportedControl("wait must not begin with the end of the closing marker: write another text")

    def attempts(self, cursor: int) -> frozenset[int]:
        """The tokens by which the model would close, or end the sequence, and that an edit can replace."""
        completing = (
            token
            for token in self.closes.completions(cursor)
            if self.closes.found(self.closes.step(cursor, token)) not in self.plain
        )
        return self.eos | self.deciding | frozenset(completing)

    def init(self, track: Track) -> BudgetState:
        return BudgetState()

    def observe(self, state: BudgetState, before: Track, after: Track, token: int, drawn: int) -> BudgetState:
        extensions, due, pause = state.extensions, PendingText.NOTHING, state.pause
        if drawn >= 0 and drawn != token and before.phase is Phase.THINKING:
            mode = self._mode(state, before)
            edit = self._edits[mode][before.cursor]
            if drawn in edit.redirect or drawn in edit.redraw:
                if mode is OnClose.FREE:
                    due = PendingText.CLOSE if after.phase is Phase.THINKING else PendingText.NOTHING
                else:
                    extensions += 1
                    due = (
                        PendingText.WAIT
                        if mode is OnClose.WAIT and self.wait_script is not None
                        else PendingText.NOTHING
                    )
        if (
            self.limits.final_always
            and self.after_close is not None
            and before.phase in (Phase.THINKING, Phase.CLOSING)
            and after.phase is Phase.ANSWER
            and not after.forced_end
        ):
            due = PendingText.FINAL
        close = state.close
        if self.plain and drawn >= 0 and before.phase is Phase.THINKING and after.phase is Phase.ANSWER:
            found = self.closes.found(self.closes.step(before.cursor, token)) or ()
            whole = len(found) <= after.emitted  # and does not begin in the prompt
            if found in self.plain and whole and self._taken_mode(state, before, found) is not OnClose.FREE:
                due, close = PendingText.TAKE_BACK, self.spellings.index(found)
        if self._sentences is not None:
            pause = self._sentences.after(pause, token)
        unchanged = due is state.due and extensions == state.extensions and pause is state.pause
        if unchanged and close == state.close and not state.barred:
            return state
        return BudgetState(extensions, due, pause, close)

    def taken_back(self, state: BudgetState, track: Track, ids: TokenIds) -> BudgetState:
        close = self.spellings.index(ids)
        mode = self._taken_mode(state, track, ids)
        if mode is OnClose.WAIT:
            return BudgetState(state.extensions + 1, PendingText.WAIT_ANEW, state.pause, close)
        return BudgetState(state.extensions + (mode is OnClose.REDRAW), PendingText.NOTHING, state.pause, close, True)

    def decide(self, state: BudgetState, track: Track) -> Decision:
        if track.phase is Phase.THINKING:
            if state.due is PendingText.WAIT and self.wait_script is not None:
                return self.wait_script
            if state.due is PendingText.WAIT_ANEW and (script := self.anew[state.close]) is not None:
                return script
            if state.due is PendingText.CLOSE:
                return self.finish[track.cursor]
            if why := self._over(track, track.cursor):
                return self._ended(self.closing.script(why, track.cursor), state, track)
            if self.limits.max_tokens is not None and track.thinking_spent >= self.limits.max_tokens:
                # the partly written close reaches the limit: complete it, or its tokens would count as thinking
                return self._ended(self.complete[track.cursor], state, track)
            edit = self._edit(state, track)
            lands = state.pause is Pause.END and self.left(track) <= self.limits.landing
            return Close("landing", edit) if lands else edit
        if track.phase is Phase.ANSWER:
            if state.due is PendingText.TAKE_BACK:
                return TakeBack(self.spellings[state.close], self._why_refused(state, track))
            if state.due is PendingText.FINAL and self.after_close is not None:
                return self.after_close
            over = self._over(track, 0)
            if over == "reserve" or (over and track.opened):
                return self._no_opening[track.cursor, Line(track.line)]
        return KEEP

    def _ended(self, script: Script, state: BudgetState, track: Track) -> Decision:
        """The close at the limit; a span may hold it, but not beyond the room for the answer."""
        if not self.limits.held or self._room(track, track.cursor) <= 0:
            return script
        return Close(script.why, self._edit(state, track), script)

    def _edit(self, state: BudgetState, track: Track) -> Edit:
        """The edit for the next token while thinking continues."""
        edit = self._edit_of_counts(state, track)
        return edit.then(self.bar) if state.barred else edit

    def _edit_of_counts(self, state: BudgetState, track: Track) -> Edit:
        mode, left = self._mode(state, track), self.left(track)
        plain = self._edits[mode][track.cursor]
        landing = self.limits.landing
        if left <= 0:  # a span holds the close
            return plain
        if left > landing and left - self.closing.typed_marker(track.cursor) >= CHARACTER_BYTES:
            return plain
        key = mode, track.cursor, left
        edit = self._known.get(key)
        if edit is None:
            edit = plain
            if left <= landing and mode is OnClose.FREE:
                amount = self.limits.landing_boost * (landing + 1 - left) / landing
                edit = bias(dict.fromkeys(self._ramp[track.cursor], amount)).then(edit)
            # ban characters that could not end before the limit; a partly written close may still become thinking text
            certain = left - self.closing.typed_marker(track.cursor)
            unfinished = [token for token, missing in self._partial.items() if missing >= certain]
            edit = edit.then(Edit(ban=frozenset(unfinished)))
            if len(self._known) > KNOWN_EDITS:
                self._known.clear()
            self._known[key] = edit
        return edit

    def _why_refused(self, state: BudgetState, track: Track) -> str:
        if self.limits.wait:
            return "wait"
        return "ignored close" if state.extensions < self.limits.waits else "minimum"

    def explain(self, state: BudgetState, before: Track, token: int, drawn: int) -> str:
        if before.phase is not Phase.THINKING:
            return ""
        mode = self._mode(state, before)
        edit = self._edits[mode][before.cursor]
        if drawn not in edit.redirect and drawn not in edit.redraw:
            return ""
        return {OnClose.FREE: END_OF_SEQUENCE, OnClose.WAIT: "wait", OnClose.REDRAW: "ignored close"}.get(mode, "")

    def idle_tokens(self, state: BudgetState, track: Track) -> int:
        if state.due is not PendingText.NOTHING or state.barred:
            return 0
        thinking = track.phase is Phase.THINKING
        if thinking and self._sentences is not None and self.left(track) <= self.limits.landing:
            return 0
        idle = min((turn - 1 - track.emitted for turn in self._emitted_turns if turn > track.emitted), default=FOREVER)
        if thinking:
            idle = min(
                idle, *(turn - 1 - track.thinking_spent for turn in self._spent_turns if turn > track.thinking_spent)
            )
        return idle

    def wake_tokens(self, state: BudgetState, track: Track) -> frozenset[int]:
        return self._wake_tokens

    def skip(self, state: BudgetState, track: Track, tokens: Sequence[int]) -> BudgetState:
        if self._sentences is None:
            return state
        pause = state.pause
        for token in tokens:
            pause = self._sentences.after(pause, token)
        return state if pause is state.pause else state._replace(pause=pause)

    def _over(self, track: Track, cursor: int) -> str:
        """Why thinking must stop here: "limit", "reserve", or empty if it need not."""
        limits = self.limits
        if (
            limits.max_tokens is not None
            and track.thinking_spent - self.closing.typed_marker(cursor) >= limits.max_tokens
        ):
            return "limit"
        if self.request_limit is not None and self._room(track, cursor) <= 0:
            return "reserve"
        return ""

    def _room(self, track: Track, cursor: int) -> int:
        """Output tokens that still fit before the closing sequence and the answer reserve."""
        if self.request_limit is None:
            return FOREVER
        needed = len(self.closing.script("reserve", cursor).ids) + (self.limits.answer_reserve or 0)
        return self.request_limit - needed - track.emitted

    def left(self, track: Track) -> int:
        """Thinking tokens that still fit."""
        room = self._room(track, track.cursor)
        if self.limits.max_tokens is None:
            return room
        return min(room, self.limits.max_tokens - track.thinking_spent + self.closing.typed_marker(track.cursor))

    def _taken_mode(self, state: BudgetState, track: Track, ids: TokenIds) -> OnClose:
        """How a close of plain text is handled that can be taken back."""
        script = self.anew[self.spellings.index(ids)]
        return self._mode(state, track, 0 if script is None else len(script.ids))

    def _mode(self, state: BudgetState, track: Track, wait_tokens: int | None = None) -> OnClose:
        limits = self.limits
        below = track.thinking_spent - self.closing.typed_marker(track.cursor) < limits.min_tokens
        if not below and (state.extensions >= limits.waits or self.left(track) <= limits.landing):
            return OnClose.FREE
        if not limits.wait:
            return OnClose.REDRAW if state.extensions < limits.waits else OnClose.BAN
        if self._has_room_for_wait(track, len(limits.wait) if wait_tokens is None else wait_tokens):
            return OnClose.WAIT
        return OnClose.BAN if below else OnClose.FREE

    def _has_room_for_wait(self, track: Track, wait: int) -> bool:
        """Whether all `wait` tokens of it fit, and at least one token after them."""
        limits = self.limits
        typed = self.closing.typed_marker(track.cursor) if self.plain else 0  # these would be taken back
        if limits.max_tokens is not None and track.thinking_spent - typed + wait >= limits.max_tokens:
            return False
        return self._room(track, START) + typed > wait


def _turns(limit: int | None, limits: Limits, waits: set[int]) -> set[int]:
    """The token counts, at and before a limit, at which a decision can change."""
    if limit is None:
        return set()
    early = (0, *waits, limits.landing, *range(1, CHARACTER_BYTES))
    return {limit - before for before in early}
