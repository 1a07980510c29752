"""Track which phase a sequence is in, and its token counts by kind: one tracker for all controls.

The parser, the budget and the report read the same track, so they cannot disagree about where thinking ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from thinkpace.processors.text.automaton import START, matcher
from thinkpace.processors.text.lexicon import lexicon
from thinkpace.processors.text.markers import BoundMarkers
from thinkpace.processors.text.openings import Line, openings
from thinkpace.processors.text.vocabulary import TokenIds, Vocabulary
from thinkpace.types import Phase


class Track(NamedTuple):
    """Where a sequence stands after its tokens so far. Counts are of output tokens.

    Args:
        phase: the phase the next token falls into.
        cursor: cursor of the active matcher: of the closing marker in thinking, of the opening marker otherwise.
        emitted: output tokens so far, of every kind.
        thinking: thinking tokens the model drew, including those of a partly written closing marker.
        injected: tokens written into the thinking block, such as "Wait".
        closing: tokens written to close thinking, and after it.
        marker: tokens of markers that the model wrote.
        answer: all other tokens.
        opened: how often thinking was opened, by the prompt or later.
        forced_end: whether the last close was written by force.
        answer_from: index of the output token where the answer starts, after the last close; -1 while there is none.
        ended: whether the last token was an end-of-sequence token.
        missing: number of bytes that the last character still lacks.
        line: outside thinking, where the next token stands in its line (`Line`).
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
    line: int = Line.BEGINS

    @property
    def thinking_spent(self) -> int:
        """What a budget counts: thinking and injected tokens, without markers."""
        return self.thinking + self.injected


class Tracker:
    """Follows one vocabulary's markers through token streams. Stateless: the track is the state.

    Args:
        markers: the markers, bound to the vocabulary.
        vocabulary: the vocabulary.
    """

    __slots__ = (
        "_other_wake_tokens",
        "_thinking_wake_tokens",
        "close_matcher",
        "eos",
        "markers",
        "open_matcher",
        "openings",
        "partial",
    )

    def __init__(self, markers: BoundMarkers, vocabulary: Vocabulary) -> None:
        self.markers = markers
        self.eos = vocabulary.eos
        self.partial = lexicon(vocabulary).partial  # tokens that end inside a character or continue one
        self.openings = openings(vocabulary, markers)
        self.open_matcher = self.openings.matcher
        self.close_matcher = matcher(markers.close_spellings)
        self._thinking_wake_tokens = self.eos.union(self.partial, *markers.close_spellings)
        self._other_wake_tokens = self.eos.union(self.partial, self.openings.wake_tokens, *markers.open_spellings)

    def may_idle(self, track: Track) -> bool:
        """Whether tokens other than wake tokens only increase a count."""
        within = track.line == Line.INSIDE or not self.openings.kinds or track.phase is Phase.THINKING
        return track.cursor == START and within

    def wake_tokens(self, phase: Phase) -> frozenset[int]:
        """The tokens that do more in this phase than increase a count."""
        return self._thinking_wake_tokens if phase is Phase.THINKING else self._other_wake_tokens

    def start(self, prompt: Sequence[int]) -> Track:
        """The track after the prompt.

        Only the current turn counts: an end-of-sequence id ends the turn before it, even with thinking still open.
        Where the chat template's generation prompt is known, the text before it opens nothing.
        Thinking tokens in the prompt (a prefill) are prompt tokens: they do not count towards the budget.
        """
        phase, cursor, begins = Phase.ANSWER, START, self._turn(prompt)
        line: int = Line.BEGINS
        for at in range(begins[0], len(prompt)):
            token = prompt[at]
            watch = self.close_matcher if phase is Phase.THINKING else self.open_matcher
            cursor = watch.step(cursor, token)
            if watch.found(cursor) is not None:
                phase, cursor = Phase.ANSWER if phase is Phase.THINKING else Phase.THINKING, START
            if token in self.eos:
                phase, cursor = Phase.ANSWER, START
            if begins[0] < begins[1] <= at:  # a prefill of the answer
                line = Line.BEGINS if phase is Phase.THINKING else self.openings.step(START, line, token)[1]
        if self.markers.opened_by_prompt is not None:
            wanted = Phase.THINKING if self.markers.opened_by_prompt else Phase.ANSWER
            phase, cursor = wanted, cursor if wanted is phase else START
        thinking = phase is Phase.THINKING
        return Track(
            phase,
            cursor,
            opened=int(thinking),
            answer_from=-1 if thinking else 0,
            line=Line.BEGINS if thinking else line,
        )

    def _turn(self, prompt: Sequence[int]) -> tuple[int, int]:
        """Where the last generation prompt begins and ends; (0, 0) if there is none."""
        ids, found = tuple(prompt), (0, 0)
        for wanted in self.markers.generation_prompts:
            for at in range(len(ids) - len(wanted), found[0] - 1, -1):
                if ids[at] == wanted[0] and ids[at : at + len(wanted)] == wanted:
                    found = max(found, (at, at + len(wanted)))
                    break
        return found

    def _follow(self, phase: Phase, cursor: int, line: int, token: int) -> tuple[Phase, int, int, TokenIds | None]:
        """The phase, cursor and line after one token outside a script, and the marker that it completes."""
        if phase is not Phase.THINKING:
            cursor, line, completed = self.openings.step(cursor, line, token)
            return phase if completed is None else Phase.THINKING, cursor, line, completed
        cursor = self.close_matcher.step(cursor, token)
        completed = self.close_matcher.found(cursor)
        if completed is None:
            return phase, cursor, line, None
        return Phase.ANSWER, START, line, completed

    def after_token(self, track: Track, token: int, *, written: bool = False) -> Track:
        """The track after one more token, drawn by the model, or `written` by a script that does not close."""
        phase, cursor, line, completed = self._follow(track.phase, track.cursor, track.line, token)
        thinking, injected, closing = track.thinking, track.injected, track.closing
        marker, answer, opened = track.marker, track.answer, track.opened
        forced_end, answer_from = track.forced_end, track.answer_from
        if completed is not None and not written:
            # The earlier tokens of the marker were counted as thinking or answer, and now count as marker.
            partial = len(completed) - 1
            if track.phase is Phase.THINKING:
                partial = min(partial, thinking)
                thinking, forced_end, answer_from = thinking - partial, False, track.emitted + 1
            else:
                partial = min(partial, answer)
                answer, opened, answer_from = answer - partial, opened + 1, -1
            marker += partial + 1
        elif written:
            if track.phase is Phase.THINKING:
                injected += 1
            else:
                closing += 1
        elif track.phase is Phase.THINKING and token not in self.eos:
            thinking += 1
        else:
            answer += 1
        return Track(  # positional, since it runs for every token; the fields in their order:
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
            token in self.eos,  # ended
            self._missing(track, token),  # missing
            line,
        )

    def after_idle(self, track: Track, count: int) -> Track:
        """The track after `count` tokens that the model drew, none a wake token, with no marker partly written."""
        thinks = track.phase is Phase.THINKING
        return Track(  # positional, as above; the rest is at its default
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
            False,
            0,
            track.line,
        )

    def _missing(self, track: Track, token: int) -> int:
        change = self.partial.get(token, 0)
        return max(0, track.missing + change) if change < 0 else change

    def after_close_token(
        self, track: Track, token: int, *, typed: int, replaced: int, done: bool, forced: bool
    ) -> Track:
        """The track after one token of a closing sequence.

        Args:
            track: the track before the token.
            token: the written id.
            typed: for the first written token: number of marker tokens before it, which were counted as thinking and
                now count as marker. 0 for later tokens.
            replaced: how many of these were written in place of an end of sequence.
            done: whether this is the last token of the closing sequence.
            forced: whether the close is forced.
        """
        typed = min(typed - replaced, track.thinking)
        cursor = self.close_matcher.step(track.cursor, token)
        closed = self.close_matcher.found(cursor) is not None
        return track._replace(
            phase=Phase.ANSWER if done else Phase.CLOSING,
            cursor=START if done or closed else cursor,
            answer_from=track.emitted + 1 if closed else track.answer_from,
            emitted=track.emitted + 1,
            thinking=track.thinking - typed,
            injected=track.injected - replaced,
            marker=track.marker + typed,
            closing=track.closing + 1 + replaced,
            forced_end=forced,
            missing=self._missing(track, token),
            line=self.openings.step(START, track.line, token)[1] if track.answer_from >= 0 else Line.BEGINS,
        )

    def after_divergence(self, track: Track) -> Track:
        """The track after a divergence: answer if the closing marker was complete by then, else still thinking."""
        if track.phase is not Phase.CLOSING:
            return track
        if track.answer_from >= 0:
            return track._replace(phase=Phase.ANSWER, cursor=START)
        return track._replace(phase=Phase.THINKING, forced_end=False)
