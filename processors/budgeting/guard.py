"""The guard: after a forced close, keep the model from thinking again, with or without markers."""

from __future__ import annotations

from typing import NamedTuple

from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.decisions import FOREVER
from thinkpace.processors.core.edit import KEEP, Edit
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.tracker import Track
from thinkpace.processors.text.automaton import START, matcher
from thinkpace.processors.text.expressions import THOUGHT_SWITCHES
from thinkpace.processors.text.openings import openings
from thinkpace.processors.text.phrases import BEGIN, phrases
from thinkpace.types import Phase


class GuardState(NamedTuple):
    """State of one sequence under a guard."""

    since: int = -1  #: number of output tokens when the answer started after a forced close; -1 without one
    phrase: int = BEGIN  #: cursor in the thought switches
    close: int = START  #: cursor in the closing marker


class Guard(Processor[GuardState]):
    """After a forced close, bans opening thinking; for `tokens` answer tokens also closing and thought switches.

    Args:
        tokens: number of answer tokens.
        binding: the vocabulary and markers.
    """

    __slots__ = ("_edits", "_wake_tokens", "closes", "openings", "phrases", "tokens")

    def __init__(self, tokens: int, binding: Binding) -> None:
        self.tokens = tokens
        self.phrases = phrases(binding.vocabulary, THOUGHT_SWITCHES, apart=binding.markers.single)
        self.closes = matcher(binding.markers.close_spellings)
        self.openings = openings(binding.vocabulary, binding.markers)
        self._edits: dict[tuple[int, int, int, int], Edit] = {}
        self._wake_tokens = self.phrases.wake_inside_word.union(
            *binding.markers.close_spellings, *binding.markers.open_spellings
        )

    def init(self, track: Track) -> GuardState:
        return GuardState()

    def _guards(self, state: GuardState, track: Track) -> bool:
        return state.since >= 0 and track.emitted - state.since < self.tokens

    def observe(self, state: GuardState, before: Track, after: Track, token: int, drawn: int) -> GuardState:
        if after.phase is not Phase.ANSWER or not after.forced_end:
            return state if state.since < 0 else GuardState()
        if before.phase is not Phase.ANSWER:
            return GuardState(after.emitted)
        if not self._guards(state, after):
            return GuardState(state.since)
        phrase, _ = self.phrases.step(state.phrase, token)
        return GuardState(state.since, phrase, self.closes.step(state.close, token))

    def decide(self, state: GuardState, track: Track) -> Edit:
        if state.since < 0 or track.phase is not Phase.ANSWER:
            return KEEP
        phrase, close = (state.phrase, state.close) if self._guards(state, track) else (-1, START)
        cached = self._edits.get((phrase, close, track.cursor, track.line))
        if cached is None:
            banned = set(self.openings.completions(track.cursor, track.line))
            if phrase >= 0:
                banned |= {*self.phrases.completions(phrase), *self.closes.completions(close)}
            cached = self._edits[phrase, close, track.cursor, track.line] = Edit(ban=frozenset(banned))
        return cached

    def idle_tokens(self, state: GuardState, track: Track) -> int:
        if not self._guards(state, track):
            return FOREVER
        if not self.phrases.is_idle(state.phrase) or state.close != START:
            return 0
        return state.since + self.tokens - 1 - track.emitted

    def wake_tokens(self, state: GuardState, track: Track) -> frozenset[int]:
        return self._wake_tokens
