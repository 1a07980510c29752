"""The shape of a control: a specification that people write, and the processor it compiles into.

A processor is a small machine over token ids with three pure methods. It has no memory of its own: its state is a
value, per sequence, that the program holds, so rollback is keeping an old one and a fork is using it twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, TypeVar

from thinkpace.processors.edit import Edit
from thinkpace.processors.markers import BoundMarkers
from thinkpace.processors.phase import Track
from thinkpace.processors.vocabulary import TokenIds, Vocabulary

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Script:
    """A phrase that is written for the model, from its first token to its last.

    While it is being written no token is drawn, and no edit of another control applies.

    Args:
        ids: what is written.
        why: the reason, for the receipt.
        begun: for a close: the part of the marker that the model has written by itself.
        closes: whether it ends thinking.
        forced: for a close: whether thinking ends by force; False finishes what the model wanted.
        replaced: for a close: how many of `begun` were written in place of an end of sequence.
    """

    ids: TokenIds
    why: str
    begun: TokenIds = ()
    closes: bool = False
    forced: bool = True
    replaced: int = 0


class Processor(Protocol[S]):
    """A control compiled for one vocabulary. Pure: the same arguments give the same result, and nothing is changed."""

    def init(self, track: Track) -> S:
        """The state after the prompt."""
        ...

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
        ...

    def decide(self, state: S, track: Track) -> Edit | Script:
        """What to do to the next token: an edit, or the start of a phrase."""
        ...

    def explain(self, state: S, before: Track, token: int, drawn: int) -> str:
        """Why `drawn` did not come, for the receipt; empty if that was not this processor's doing."""
        ...


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a control is compiled for: the vocabulary, its markers, and the request's own limit.

    Args:
        vocabulary: how the tokenizer spells things.
        markers: of thinking, as ids.
        max_new_tokens: the request's limit on output tokens; None if there is none.
    """

    vocabulary: Vocabulary
    markers: BoundMarkers
    max_new_tokens: int | None = None


class Control(ABC):
    """What a user writes: a frozen dataclass of text and numbers, the same for every engine."""

    __slots__ = ()
    #: controls that decide when thinking ends; a sequence takes one of them
    decides_end: ClassVar[bool] = False

    @abstractmethod
    def compile(self, binding: Binding) -> Processor[Any]:
        """The processor for one vocabulary.

        Raises:
            UnsupportedControl: if it cannot work there.
        """

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `control_from_json` turns back into an equal control."""
        return {"control": type(self).__name__} | {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]  # every control is a dataclass
