"""What a processor can decide about the next token, and the row statistics it may request first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from thinkpace.processors.core.edit import KEEP, Edit
from thinkpace.processors.text.vocabulary import TokenIds


@dataclass(frozen=True, slots=True)
class Script:
    """A phrase that is written for the model, from its first token to its last.

    While it is being written no token is drawn, and no edit of another control applies.

    Args:
        ids: what is written.
        why: the reason, for the receipt.
        typed_marker: for a close: the part of the marker that the model has written by itself.
        ends_thinking: whether it ends thinking.
        forced: for a close: whether thinking ends by force; False finishes what the model wanted.
        replaced: for a close: how many of `typed_marker` were written in place of an end of sequence.
    """

    ids: TokenIds
    why: str
    typed_marker: TokenIds = ()
    ends_thinking: bool = False
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


Statistic = Literal["entropy", "top_probability", "close_margin", "uniform", "trial"]


@dataclass(frozen=True, slots=True)
class RowStatistic:
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

    kind: Statistic
    suffix: TokenIds = ()
    max_tokens: int = 0


Decision = Edit | Script | Close


Statistics = Mapping[RowStatistic, float]


NOTHING: frozenset[RowStatistic] = frozenset()


NO_TOKENS: frozenset[int] = frozenset()


FOREVER = 1 << 40
