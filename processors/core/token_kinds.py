"""The kind of every output token: thinking, injected, closing, marker or answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from thinkpace.processors.core.program import Program
from thinkpace.processors.core.replay import DrawHistory
from thinkpace.processors.core.tracker import Track
from thinkpace.types import Phase

_END = 64  # more tokens than any marker has

TokenKind = Literal["thinking", "injected", "closing", "marker", "answer"]


def token_kinds(
    program: Program, prompt: Sequence[int], tokens: Sequence[int], history: DrawHistory | None = None
) -> tuple[TokenKind, ...]:
    """The kind of every output token, in agreement with the counts of the receipt.

    "injected" and "closing" are the tokens written for the model: the former into thinking, the latter to close it or
    after the close.
    """
    tracker = TokenKindTracker(program, prompt)
    tracker.follow(tokens, history or DrawHistory())
    return tuple(tracker.found)


class TokenKindTracker:
    """Computes the kinds of tokens as they arrive; see `token_kinds`.

    Args:
        program: the program of the sequence.
        prompt: ids of its prompt.
    """

    def __init__(self, program: Program, prompt: Sequence[int]) -> None:
        self._program = program
        self._prompt = prompt
        self._state = program.start(prompt)
        self._end: list[int] = []  # the last tokens so far
        self.found: list[TokenKind] = []  #: kinds of the tokens so far

    @property
    def settled(self) -> int:
        """Number of tokens whose kind is final; those of a partly written marker may still change."""
        track = self._state.track
        watch = (
            self._program.tracker.close_matcher if track.phase is Phase.THINKING else self._program.tracker.open_matcher
        )
        return max(0, len(self.found) - len(watch.partial_match(track.cursor)))

    @property
    def answer_from(self) -> int:
        """Output index where the answer starts, by the tokens so far; -1 while there is no answer."""
        return self._state.track.answer_from

    def follow(self, tokens: Sequence[int], history: DrawHistory) -> None:
        """Add the tokens that are new; tokens that were taken back, which are never settled ones, are forgotten.

        Args:
            tokens: all output ids so far.
            history: the draw history.
        """
        seen = len(self.found)
        if seen > len(tokens) or [*tokens[max(0, seen - _END) : seen]] != self._end:
            self._state, self.found = self._program.start(self._prompt), []
        for i in range(len(self.found), len(tokens)):
            before = history.before(self._program, self._state, i)
            self._state = self._program.step(before, tokens[i], history.drawn.get(i))
            self._add(before.track, self._state.track)
        self._end = [*tokens[max(0, len(self.found) - _END) : len(self.found)]]

    def _add(self, before: Track, after: Track) -> None:
        out = self.found
        written = after.closing > before.closing
        partial = after.marker - before.marker - (not written)  # earlier tokens that prove to be marker
        replaced = before.injected - after.injected  # tokens of a started close that were written in place of others
        if replaced > 0:
            out[len(out) - replaced :] = ["closing"] * replaced
        if partial >= 0 and after.marker > before.marker:
            end = len(out) - max(0, replaced)
            out[end - partial : end] = ["marker"] * partial
        if written:
            out.append("closing")
        elif after.marker > before.marker:
            out.append("marker")
        elif after.injected > before.injected:
            out.append("injected")
        elif after.thinking > before.thinking:
            out.append("thinking")
        else:
            out.append("answer")
