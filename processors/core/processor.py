"""A control compiled for one vocabulary: a pure machine over token ids.

A processor is a small machine over token ids with three pure methods. It has no memory of its own: its state is a
value, per sequence, that the program holds, so rollback is keeping an old one and a fork is using it twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from thinkpace.processors.core.decisions import NO_TOKENS, NOTHING, Decision, RowStatistic, Statistics
from thinkpace.processors.core.tracker import Track

S = TypeVar("S")


class Processor(ABC, Generic[S]):
    """A control compiled for one vocabulary. Pure: the same arguments give the same result, and nothing is changed."""

    __slots__ = ()
    #: of processors of other packages: the class that runs them on a device, as "module:Class"; None if there is none
    device_form: ClassVar[str | None] = None

    @abstractmethod
    def init(self, track: Track) -> S:
        """The state after the prompt."""

    def observe(self, state: S, before: Track, after: Track, token: int, drawn: int) -> S:
        """The state after one more token.

        Args:
            state: before it.
            before: the track before the token.
            after: the track after it.
            token: the id that came.
            drawn: the id that the model drew: another one than `token` if a `redirect` moved it or a `redraw` refused
                it, -1 if the token was written and none was drawn.
        """
        return state

    @abstractmethod
    def decide(self, state: S, track: Track) -> Decision:
        """What to do to the next token: an edit, the start of a phrase, or the end of thinking."""

    def explain(self, state: S, before: Track, token: int, drawn: int) -> str:
        """Why `drawn` did not come, for the receipt; empty if that was not this processor's doing."""
        return ""

    def wants(self, state: S, track: Track) -> frozenset[RowStatistic]:
        """The numbers it wants before it decides about the next token."""
        return NOTHING

    def receive(self, state: S, track: Track, statistics: Statistics) -> S:
        """The state with the number it wanted, or with others' numbers only."""
        return state

    def idle_tokens(self, state: S, track: Track) -> int:
        """How many more tokens of this phase may pass, none of them heeded, before the decision could change.

        The state makes up for them in `skip`. 0 is always right, and slow.
        """
        return 0

    def wake_tokens(self, state: S, track: Track) -> frozenset[int]:
        """The tokens that `idle_tokens` leaves out: they must be observed. One of few sets that are made once."""
        return NO_TOKENS

    def skip(self, state: S, track: Track, tokens: Sequence[int]) -> S:
        """Apply tokens that were not stepped: the state after them, equal to observing them one at a time.

        Args:
            state: before them.
            track: the track before them.
            tokens: at most `idle_tokens`, none of them a wake token.
        """
        return state
