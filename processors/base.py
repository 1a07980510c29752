"""The shape of a control: a specification that people write, and the processor it compiles into.

A processor is a small machine over token ids with three pure methods. It has no memory of its own: its state is a
value, per sequence, that the program holds, so rollback is keeping an old one and a fork is using it twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from thinkpace.processors.edit import KEEP, Edit
from thinkpace.processors.markers import BoundMarkers
from thinkpace.processors.phase import Track
from thinkpace.processors.vocabulary import TokenIds, Vocabulary

if TYPE_CHECKING:
    from thinkpace.processors.closing import Closing

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


@dataclass(frozen=True, slots=True)
class Close:
    """Thinking is to end here, by force; the program writes what closes it.

    Below a minimum, and inside a character of several tokens, it waits, and has to be decided again.

    Args:
        why: the reason, for the receipt.
        otherwise: the edit that applies if it has to wait.
    """

    why: str
    otherwise: Edit = KEEP


Kind = Literal["entropy", "top_probability", "close_margin", "uniform", "trial"]


@dataclass(frozen=True, slots=True)
class Need:
    """A number that a control needs about the row the next token is drawn from.

    Args:
        kind: "entropy" of the model's distribution (nats), "top_probability", "close_margin" (how much larger the
            largest log-probability is than that of the likeliest closing token), all at temperature 1 and before any
            edit; "uniform", a random number in [0, 1) of the sequence's seed and position; or "trial", the geometric
            mean of the probabilities of the tokens after the first that the model would greedily go on with after
            `suffix`: the only one that costs tokens.
        suffix: for a trial: what is said before it. A trial is a fork, and leaves no trace in the sequence.
        max_tokens: for a trial: its length at most; it ends at the end of the sequence or of a line, too.
    """

    kind: Kind
    suffix: TokenIds = ()
    max_tokens: int = 0


Decision = Edit | Script | Close
Numbers = Mapping[Need, float]
NOTHING: frozenset[Need] = frozenset()
NO_TOKENS: frozenset[int] = frozenset()
FOREVER = 1 << 40


class Processor(ABC, Generic[S]):
    """A control compiled for one vocabulary. Pure: the same arguments give the same result, and nothing is changed."""

    __slots__ = ()

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

    def needs(self, state: S, track: Track) -> frozenset[Need]:
        """The numbers it wants before it decides about the next token."""
        return NOTHING

    def inform(self, state: S, track: Track, numbers: Numbers) -> S:
        """The state with the number it wanted, or with others' numbers only."""
        return state

    def quiet(self, state: S, track: Track) -> int:
        """How many more tokens of this phase may pass, none of them heeded, before the decision could change.

        The state makes up for them in `skip`. 0 is always right, and slow.
        """
        return 0

    def heeds(self, state: S, track: Track) -> frozenset[int]:
        """The tokens that `quiet` leaves out: they must be observed. One of few sets that are made once."""
        return NO_TOKENS

    def skip(self, state: S, track: Track, tokens: Sequence[int]) -> S:
        """The state after tokens that `quiet` let pass; equal to observing them one at a time. `track`: before them."""
        return state


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
    context_tokens: int | None = None


class Control(ABC):
    """What a user writes: a frozen dataclass of text and numbers, the same for every engine."""

    __slots__ = ()
    #: controls that decide when thinking ends; a sequence takes one of them
    decides_end: ClassVar[bool] = False
    #: controls that say all that an answer may be; a sequence takes one of them
    rules_answer: ClassVar[bool] = False
    #: where it can act: gates for elsewhere are refused
    phases: ClassVar[tuple[str, ...]] = ("thinking", "answer")

    @abstractmethod
    def compile(self, binding: Binding) -> Processor[Any]:
        """The processor for one vocabulary.

        Raises:
            UnsupportedControl: if it cannot work there.
        """

    def closing(self, binding: Binding) -> Closing | None:
        """How thinking is closed by force, by this control or another; None from those that do not decide its end."""
        return None

    @property
    def moves_probability(self) -> bool:
        """Whether it moves probability from what the model wants to something else: then the temperature matters."""
        return False

    @property
    def needs(self) -> frozenset[str]:
        """The kinds of numbers its processor may ask for."""
        return frozenset()

    def __repr__(self) -> str:
        """The call that builds it, without what is left at its default."""
        shown = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default]  # type: ignore[arg-type]  # every control is a dataclass
        return f"{type(self).__name__}({', '.join(shown)})"

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `control_from_json` turns back into an equal control."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]  # every control is a dataclass
        return {"control": type(self).__name__} | {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Control):
        return value.to_json()
    return list(value) if isinstance(value, tuple) else value
