"""Spans that a forced close waits for: a tool call or fenced code inside thinking is finished, not cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.decisions import FOREVER, NO_TOKENS
from thinkpace.processors.core.edit import KEEP, Edit
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.tracker import Track
from thinkpace.processors.text.automaton import START, matcher
from thinkpace.processors.text.phrases import BEGIN, phrases
from thinkpace.types import Phase


class SpanState(NamedTuple):
    """State of one sequence."""

    cursor: int = BEGIN  #: cursor in the texts that begin and end spans
    open: int = -1  #: index of the span that is open; -1 for none
    held_at: int = -1  #: number of output tokens when a close was first held in it; -1 if none was


class Spans(Processor[SpanState]):
    """Holds a forced close inside a span until its end, for `tokens` tokens at most, and up to 3 to end a character.

    Args:
        tokens: number of tokens.
        spans: the texts that begin and end a span; matched byte by byte, or as the special token that they name.
        binding: the vocabulary and markers.
    """

    __slots__ = ("_wake_tokens", "begins", "ends", "opens", "phrases", "single", "tokens")

    def __init__(self, tokens: int, spans: Sequence[tuple[str, str]], binding: Binding) -> None:
        vocabulary = binding.vocabulary
        texts = tuple(dict.fromkeys(text for span in spans for text in span))
        self.tokens = tokens
        self.phrases = phrases(vocabulary, texts, exact=True)
        self.opens = matcher(binding.markers.open_spellings)
        #: by text: the first span that it begins, or -1
        self.begins = {text.encode(): next((i for i, s in enumerate(spans) if s[0] == text), -1) for text in texts}
        #: by span: the text that ends it
        self.ends = [end.encode() for _, end in spans]
        spelled = {ids[0]: text.encode() for text in texts if len(ids := vocabulary.encode(text)) == 1}
        #: texts that are one special token
        self.single = {token: text for token, text in spelled.items() if token in vocabulary.special}
        self._wake_tokens: dict[frozenset[int], frozenset[int]] = {}

    def init(self, track: Track) -> SpanState:
        return SpanState()

    def read(self, state: SpanState, prompt: Sequence[int]) -> SpanState:
        """A span may be open in thinking that the prompt holds, and a text that begins one may begin there."""
        cursor, opened = START, 0  # where thinking begins; a prompt without a marker holds none
        for at, token in enumerate(prompt):
            cursor = self.opens.step(cursor, token)
            if self.opens.found(cursor) is not None:
                opened = at + 1
        for at, token in enumerate(prompt):
            state = self._step(state, token)
            if not 0 < opened <= at:
                state = SpanState(state.cursor)
        return state

    def observe(self, state: SpanState, before: Track, after: Track, token: int, drawn: int) -> SpanState:
        if after.phase is not Phase.THINKING or before.phase is not Phase.THINKING:
            return SpanState()
        return self._step(state, token)

    def _step(self, state: SpanState, token: int) -> SpanState:
        cursor, whole = self.phrases.step(state.cursor, token)
        whole = self.single.get(token, whole)
        if whole is not None and state.open < 0:
            return SpanState(cursor, self.begins[whole])
        if whole is not None and whole == self.ends[state.open]:
            return SpanState(cursor)
        return state if cursor == state.cursor else state._replace(cursor=cursor)

    def decide(self, state: SpanState, track: Track) -> Edit:
        return KEEP

    def hold(self, state: SpanState, track: Track) -> SpanState | None:
        if state.open < 0:
            return None
        if state.held_at < 0:
            return state._replace(held_at=track.emitted)
        return state if track.emitted - state.held_at < self.tokens or track.missing else None

    def idle_tokens(self, state: SpanState, track: Track) -> int:
        return FOREVER if track.phase is not Phase.THINKING or state.held_at < 0 else 0

    def wake_tokens(self, state: SpanState, track: Track) -> frozenset[int]:
        if track.phase is not Phase.THINKING:
            return NO_TOKENS
        found = self.phrases.wake_tokens_from(state.cursor)
        if not self.single:
            return found
        if found not in self._wake_tokens:
            self._wake_tokens[found] = found.union(self.single)
        return self._wake_tokens[found]

    def skip(self, state: SpanState, track: Track, tokens: Sequence[int]) -> SpanState:
        if track.phase is not Phase.THINKING:
            return SpanState()
        return state if state.cursor == BEGIN else state._replace(cursor=BEGIN)
