"""Which phase a sequence is in, and how many tokens of each kind it holds: one tracker for all controls.

The parser, the budget and the report read the same track, so they cannot disagree about where thinking ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from thinkpace.processors.text.automaton import START, matcher
from thinkpace.processors.text.markers import BoundMarkers
from thinkpace.processors.text.vocabulary import TokenIds
from thinkpace.types import Phase


class Track(NamedTuple):
    """Where a sequence stands after its tokens so far. Counts are of output tokens.

    Args:
        phase: the phase the next token falls into.
        cursor: of the matcher that watches this phase: for the close while thinking, for the open otherwise.
        emitted: output tokens so far, of every kind.
        thinking: thinking tokens the model drew; those of a close that is only begun are still among them.
        injected: tokens written into the thinking block, such as "Wait".
        closing: tokens written to close thinking, and after it.
        marker: tokens of markers that the model wrote.
        answer: all others.
        opened: how often thinking was opened, by the prompt or later.
        forced_end: whether the last close was written by force.
        answer_from: index of the output token where the answer began: after the last close; -1 while there is none.
        ended: whether an end-of-sequence token came.
        missing: bytes that the last character lacks.
    """

    phase: Phase
    cursor: int = START
    emitted: int = 0
    thinking: int = 0
    injected: int = 0
    closing: int = 0
    marker: int = 0
    answer: int = 0
    opened: int = 0
    forced_end: bool = False
    answer_from: int = -1
    ended: bool = False
    missing: int = 0

    @property
    def spent(self) -> int:
        """What a budget counts: thinking with what was injected, without markers."""
        return self.thinking + self.injected


class Tracker:
    """Follows one vocabulary's markers through token streams. Stateless: the track is the state.

    Args:
        markers: bound to the vocabulary.
        eos: ids that end a sequence.
        partial: tokens that end or go on inside a character, as `Lexicon.partial`.
    """

    __slots__ = (
        "_other_wake_tokens",
        "_thinking_wake_tokens",
        "close_matcher",
        "eos",
        "markers",
        "open_matcher",
        "partial",
    )

    def __init__(self, markers: BoundMarkers, eos: frozenset[int], partial: Mapping[int, int]) -> None:
        self.markers = markers
        self.eos = eos
        self.partial = partial
        self.open_matcher = matcher(markers.open_spellings)
        self.close_matcher = matcher(markers.close_spellings)
        self._thinking_wake_tokens = eos.union(partial, *markers.close_spellings)
        self._other_wake_tokens = eos.union(partial, *markers.open_spellings)

    def wake_tokens(self, phase: Phase) -> frozenset[int]:
        """The tokens that do more in this phase than add one to a count."""
        return self._thinking_wake_tokens if phase is Phase.THINKING else self._other_wake_tokens

    def start(self, prompt: Sequence[int]) -> Track:
        """The track after the prompt.

        Only the current turn counts: an end-of-sequence id ends the turn before it, with whatever it left open.
        Thinking tokens in the prompt (a prefill) are prompt tokens: they are not charged to the budget.
        """
        phase, cursor = Phase.ANSWER, START
        for token in prompt:
            phase, cursor, _ = self._follow(phase, cursor, token)
            if token in self.eos:
                phase, cursor = Phase.ANSWER, START
        if self.markers.opened_by_prompt is not None:
            wanted = Phase.THINKING if self.markers.opened_by_prompt else Phase.ANSWER
            phase, cursor = wanted, cursor if wanted is phase else START
        thinking = phase is Phase.THINKING
        return Track(phase, cursor, opened=int(thinking), answer_from=-1 if thinking else 0)

    def _follow(self, phase: Phase, cursor: int, token: int) -> tuple[Phase, int, TokenIds | None]:
        """One token outside of any writing: the phase and cursor after it, and the marker it completes."""
        watch = self.close_matcher if phase is Phase.THINKING else self.open_matcher
        cursor = watch.step(cursor, token)
        found = watch.found(cursor)
        if found is None:
            return phase, cursor, None
        return (Phase.ANSWER if phase is Phase.THINKING else Phase.THINKING), START, found

    def after_token(self, track: Track, token: int, *, written: bool = False) -> Track:
        """The track after one more token, drawn by the model, or written (`written`) without closing thinking."""
        phase, cursor, found = self._follow(track.phase, track.cursor, token)
        thinking, injected, closing = track.thinking, track.injected, track.closing
        marker, answer, opened = track.marker, track.answer, track.opened
        forced_end, answer_from = track.forced_end, track.answer_from
        if found is not None and not written:
            # What was counted while the marker was only begun turns out to be marker.
            begun = len(found) - 1
            if track.phase is Phase.THINKING:
                begun = min(begun, thinking)
                thinking, forced_end, answer_from = thinking - begun, False, track.emitted + 1
            else:
                begun = min(begun, answer)
                answer, opened, answer_from = answer - begun, opened + 1, -1
            marker += begun + 1
        elif written:
            if track.phase is Phase.THINKING:
                injected += 1
            else:
                closing += 1
        elif track.phase is Phase.THINKING and token not in self.eos:
            thinking += 1
        else:
            answer += 1
        return Track(
            phase,
            cursor,
            track.emitted + 1,
            thinking,
            injected,
            closing,
            marker,
            answer,
            opened,
            forced_end,
            answer_from,
            token in self.eos,
            self._missing(track, token),
        )

    def after_idle(self, track: Track, count: int) -> Track:
        """The track after `count` tokens that the model drew, none of them heeded, with no marker begun."""
        thinks = track.phase is Phase.THINKING
        return Track(
            track.phase,
            track.cursor,
            track.emitted + count,
            track.thinking + count * thinks,
            track.injected,
            track.closing,
            track.marker,
            track.answer + count * (not thinks),
            track.opened,
            track.forced_end,
            track.answer_from,
        )

    def _missing(self, track: Track, token: int) -> int:
        found = self.partial.get(token, 0)
        return max(0, track.missing + found) if found < 0 else found

    def after_close_token(
        self, track: Track, token: int, *, begun: int, replaced: int, done: bool, forced: bool
    ) -> Track:
        """The track after one token of a closing sequence.

        Args:
            track: before the token.
            token: the one that is written.
            begun: tokens of the marker that the model had begun before the first written one; they were counted as
                thinking and are marker. 0 for later tokens.
            replaced: how many of these were themselves written, in place of an end of sequence.
            done: whether this token is the last one to be written.
            forced: whether this ends thinking by force.
        """
        begun = min(begun - replaced, track.thinking)
        cursor = self.close_matcher.step(track.cursor, token)
        closed = self.close_matcher.found(cursor) is not None
        return track._replace(
            phase=Phase.ANSWER if done else Phase.CLOSING,
            cursor=START if done or closed else cursor,
            answer_from=track.emitted + 1 if closed else track.answer_from,
            emitted=track.emitted + 1,
            thinking=track.thinking - begun,
            injected=track.injected - replaced,
            marker=track.marker + begun,
            closing=track.closing + 1 + replaced,
            forced_end=forced,
            missing=self._missing(track, token),
        )

    def after_divergence(self, track: Track) -> Track:
        """The track when a closing sequence was not taken to its end: closed if its marker was, thinking otherwise."""
        if track.phase is not Phase.CLOSING:
            return track
        if track.answer_from >= 0:
            return track._replace(phase=Phase.ANSWER, cursor=START)
        return track._replace(phase=Phase.THINKING, forced_end=False)
