"""Processors: controls compiled for one vocabulary, as state machines over token ids.

A processor has three basic methods (`init`, `observe`, `decide`), all pure. It stores nothing about a sequence: the
program holds one state value per sequence, so a rollback reuses an older state and a fork uses one state twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from thinkpace.processors.core.decisions import NO_TOKENS, NOTHING, Decision, RowStatistic, Statistics
from thinkpace.processors.core.tracker import Track
from thinkpace.processors.text.vocabulary import TokenIds

S = TypeVar("S")

PROMPT_END = 64  # ids of a prompt's end that processors read


class Processor(ABC, Generic[S]):
    """A control compiled for one vocabulary. Pure: equal arguments give equal results, and nothing is modified."""

    __slots__ = ()
    #: for processors of other packages: the class that runs them on a device, as "module:Class"; None if there is none
    device_form: ClassVar[str | None] = None

    @abstractmethod
    def init(self, track: Track) -> S:
        """The state after the prompt."""

    def read(self, state: S, prompt: Sequence[int]) -> S:
        """The state after `init`, where the end of the prompt matters: a word may begin there.

        Args:
            state: the state that `init` returned.
            prompt: the last ids of the prompt, `PROMPT_END` at most.
        """
        return state

    def observe(self, state: S, before: Track, after: Track, token: int, drawn: int) -> S:
        """The state after one more token.

        Args:
            state: the state before the token.
            before: the track before the token.
            after: the track after the token.
            token: the id that was appended.
            drawn: the id that the model drew. It differs from `token` if a `redirect` moved it or a `redraw` refused
                it; -1 if the token was written and none was drawn.
        """
        return state

    @abstractmethod
    def decide(self, state: S, track: Track) -> Decision:
        """The decision about the next token: an edit, a phrase to write (`Script`), or a close."""

    def taken_back(self, state: S, track: Track, ids: TokenIds) -> S:
        """The state after a closing marker was taken back, which this or another processor decided.

        Args:
            state: the state before the marker.
            track: the track before the marker.
            ids: its tokens.
        """
        return state

    def hold(self, state: S, track: Track) -> S | None:
        """Hold a close that is about to be forced, such as inside a tool call.

        Returns:
            The state with the close held; None to let it be forced.
        """
        return None

    def explain(self, state: S, before: Track, token: int, drawn: int) -> str:
        """Why `drawn` was replaced, for the receipt; empty if this processor did not replace it."""
        return ""

    def unmet(self, state: S, track: Track) -> str:
        """What was asked of the sequence and is not so, for the receipt; empty if there is nothing."""
        return ""

    def wants(self, state: S, track: Track) -> frozenset[RowStatistic]:
        """The row statistics it needs before it decides about the next token."""
        return NOTHING

    def receive(self, state: S, track: Track, statistics: Statistics) -> S:
        """The state after row statistics; `statistics` may hold only those that other processors requested."""
        return state

    def idle_tokens(self, state: S, track: Track) -> int:
        """Tokens of this phase that may still be appended without stepping; a token in `wake_tokens` must be stepped.

        The decision stays the same for all of them. `skip` applies them later in one call. Returning 0 is always
        correct, only slower.
        """
        return 0

    def wake_tokens(self, state: S, track: Track) -> frozenset[int]:
        """Tokens that must be observed even while idle. Return one of a few sets that are built once."""
        return NO_TOKENS

    def skip(self, state: S, track: Track, tokens: Sequence[int]) -> S:
        """Apply tokens that were not stepped: the state after them, equal to observing them one at a time.

        Args:
            state: the state before them.
            track: the track before them.
            tokens: at most `idle_tokens` ids, none of them a wake token.
        """
        return state
