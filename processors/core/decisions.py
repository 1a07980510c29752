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

    While it is being written, no token is drawn and no edit of another control applies.

    Args:
        ids: the token ids to write.
        why: the reason, for the receipt.
        typed_marker: for a close: the part of the marker that the model has already written.
        ends_thinking: whether it ends thinking.
        forced: for a close: whether it is forced; False completes a close that the model started.
        replaced: for a close: how many tokens of `typed_marker` were written in place of an end of sequence.
    """

    ids: TokenIds
    why: str
    typed_marker: TokenIds = ()
    ends_thinking: bool = False
    forced: bool = True
    replaced: int = 0


@dataclass(frozen=True, slots=True)
class Close:
    """Close thinking here, by force; the program writes the closing sequence.

    Below a minimum, inside a character of several tokens, and where a processor holds it (`Processor.hold`), the close
    is postponed: the processor must decide it again at a later token.

    Args:
        why: the reason, for the receipt.
        otherwise: the edit that applies if the close is postponed.
        script: what to write, for a close that a minimum or a character does not postpone; None: the closing sequence.
    """

    why: str
    otherwise: Edit = KEEP
    script: Script | None = None


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Take back a closing marker that the model has just written in plain text, as if it had not been generated.

    Only for engines that can (`Binding.takes_back`); `Processor.taken_back` then says what follows.

    Args:
        ids: the marker's tokens, the last of the output.
        why: the reason, for the receipt.
    """

    ids: TokenIds
    why: str


Statistic = Literal["entropy", "top_probability", "close_margin", "uniform", "trial"]


@dataclass(frozen=True, slots=True)
class RowStatistic:
    """A number about the row of logits that the next token is drawn from.

    Args:
        kind: "entropy" of the model's distribution (nats), "top_probability", or "close_margin" (largest
            log-probability minus that of the likeliest closing token), all at temperature 1 and before any edit;
            "uniform", a random number in [0, 1) that depends on the sequence's seed and position; or "trial", the
            geometric mean of the probabilities of a greedy continuation after `suffix`, its first token excluded: the
            only kind that costs tokens.
        suffix: for a trial: ids appended before it. A trial is a fork and leaves no trace in the sequence.
        max_tokens: for a trial: its maximum length; the end of the sequence or of a line ends it too.
    """

    kind: Statistic
    suffix: TokenIds = ()
    max_tokens: int = 0


#: what `Processor.decide` returns
Decision = Edit | Script | Close | TakeBack

#: values of requested row statistics
Statistics = Mapping[RowStatistic, float]

#: no row statistics are requested
NOTHING: frozenset[RowStatistic] = frozenset()

#: no tokens, such as no wake tokens
NO_TOKENS: frozenset[int] = frozenset()

#: why a close was written in place of an end of the sequence
END_OF_SEQUENCE = "end of sequence"

#: more tokens than any sequence has, for `idle_tokens`
FOREVER = 1 << 40
