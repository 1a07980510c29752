"""The kind of every output token: thinking, injected, closing, marker or answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from thinkpace.processors.core.program import Program
from thinkpace.processors.core.replay import DrawHistory
from thinkpace.processors.core.tracker import Track
from thinkpace.types import Phase

TokenKind = Literal["thinking", "injected", "closing", "marker", "answer"]


def token_kinds(
    program: Program, prompt: Sequence[int], tokens: Sequence[int], history: DrawHistory | None = None
) -> tuple[TokenKind, ...]:
    """The kind of every output token, in agreement with the counts of the receipt.

    "injected" and "closing" are the forced ones: written into thinking, and to end it or after it.
    """
    found = TokenKindTracker(program, prompt)
    found.follow(tokens, history or DrawHistory())
    return tuple(found.found)


class TokenKindTracker:
    """The kinds of tokens while they come: see `token_kinds`.

    Args:
        program: that the sequence is under.
        prompt: its ids.
    """

    def __init__(self, program: Program, prompt: Sequence[int]) -> None:
        self._program = program
        self._state = program.start(prompt)
        self.found: list[TokenKind] = []  #: of the tokens so far

    @property
    def settled(self) -> int:
        """How many of them stay what they are: those of a marker that has been begun may not."""
        track = self._state.track
        watch = (
            self._program.tracker.close_matcher if track.phase is Phase.THINKING else self._program.tracker.open_matcher
        )
        return max(0, len(self.found) - len(watch.partial_match(track.cursor)))

    @property
    def answer_from(self) -> int:
        """Where the answer begins, as far as is known; -1 while there is none."""
        return self._state.track.answer_from

    def follow(self, tokens: Sequence[int], history: DrawHistory) -> None:
        """Take the tokens that are new.

        Args:
            tokens: all of the output so far.
            told: what was drawn, and the numbers that were wanted.
        """
        for i in range(len(self.found), len(tokens)):
            before = self._state
            if i in history.statistics:
                before = self._program.receive(before, history.statistics[i])
            self._state = self._program.step(before, tokens[i], history.drawn.get(i))
            self._add(before.track, self._state.track)

    def _add(self, before: Track, after: Track) -> None:
        out = self.found
        written = after.closing > before.closing
        found = after.marker - before.marker - (not written)
        replaced = before.injected - after.injected  # tokens of a begun close that had come in place of others
        if replaced > 0:
            out[len(out) - replaced :] = ["closing"] * replaced
        if found >= 0 and after.marker > before.marker:  # tokens that had begun a marker turn out to be part of it
            end = len(out) - max(0, replaced)
            out[end - found : end] = ["marker"] * found
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
