"""Budgets: how many tokens a model may, and must, think."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thinkpace.processors.base import Binding, Control
from thinkpace.processors.ending import Ending, Limits
from thinkpace.processors.vocabulary import spell

ANSWER_RESERVE = 100  # s1's evaluation code keeps as many for the answer when its budget is "auto"


@dataclass(frozen=True, slots=True)
class ThinkBudget(Control):
    """Close the thinking block once `max_tokens` have been spent in it, and not before `min_tokens`.

    At the limit the closing sequence is written token by token; a close that the model has half written is completed,
    not begun again. Below the minimum the model cannot close, and draws something else. Ending the sequence inside
    thinking counts as closing, so that an answer follows. Thinking that is opened again keeps to what is left, and
    cannot be opened when nothing is left. To write "Wait" instead of closing, see `BudgetForcing`.

    Args:
        max_tokens: thinking tokens at most, all blocks together; injected tokens count, markers and the closing
            sequence do not. None or -1: no limit. 0: close at once.
        min_tokens: thinking tokens at least, 0 or more, at most `max_tokens`.
        answer_reserve: output tokens kept for the answer inside the request's own limit; thinking is closed early
            enough. Counts only where the limit is known (`max_new_tokens`). Default 100, as s1's evaluation code has.

    Raises:
        TypeError, ValueError: for numbers out of range.

    >>> ThinkBudget(max_tokens=512)
    ThinkBudget(max_tokens=512, min_tokens=0, answer_reserve=100)

    Source: s1 (arXiv 2501.19393 v3, section 3.1), without its texts. Counting differs from s1's scripts, which
    re-tokenise text: here the ids that were generated are counted.
    """

    max_tokens: int | None = None
    min_tokens: int = 0
    answer_reserve: int = ANSWER_RESERVE

    decides_end: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_tokens", checked_limit(self.max_tokens, self.min_tokens))
        checked_count("answer_reserve", self.answer_reserve)

    def compile(self, binding: Binding) -> Ending:
        return Ending(
            Limits(self.max_tokens, self.min_tokens, 0, (), (), False, binding.max_new_tokens, self.answer_reserve),
            binding,
        )


@dataclass(frozen=True, slots=True)
class BudgetForcing(Control):
    """Write `wait` where the model would have closed its thinking, and close it for the model at the limit.

    While extensions are left, or below the minimum, the probability of closing (or of ending the sequence) moves onto
    the first token of `wait`, and the rest of `wait` is written. When that token comes, whether it was natural or a
    replaced close is drawn from the two weights it came from, so that counts are exact. This makes one pass equal, in
    distribution, to s1's loop of stopping and prompting again, for greedy decoding and for sampling at any
    temperature. A top-p or top-k cut applied after it sees close and `wait` as one candidate, and may keep or drop
    them together where s1's loop would cut each by its own probability.

    Where the close is several tokens, its last one is what is replaced: the earlier ones have been written by then.
    An extension is made only if all of `wait` and one more token fit below the limits; otherwise the close is
    honoured, or below the minimum refused.

    Args:
        max_tokens: thinking tokens at most, all blocks together; injected tokens count, markers and the closing
            sequence do not. None or -1: no limit. 0: close at once.
        min_tokens: thinking tokens at least; every attempt to close below it is extended, and counts among `waits`.
        waits: how many attempts to close are extended, whatever the minimum.
        wait: the text of an extension. None writes nothing: the close is refused and another token drawn, which still
            counts (s1's ablation "no string").
        final: written after the close when the limit was hit, as in s1's evaluation code. None writes nothing.
        final_always: write `final` after a natural close as well.
        answer_reserve: as in `ThinkBudget`.

    Raises:
        TypeError, ValueError: for numbers out of range or empty texts.

    >>> BudgetForcing(max_tokens=512, waits=1).wait
    'Wait'

    Source: s1, arXiv 2501.19393 v3 section 3.1, and simplescaling/s1 77272c6,
    eval/lm-evaluation-harness/lm_eval/models/vllm_causallms.py (final text only at the limit).
    Differences: the budget includes injected tokens and is not granted anew each round.
    """

    max_tokens: int | None = None
    min_tokens: int = 0
    waits: int = 0
    wait: str | None = "Wait"
    final: str | None = "Final Answer:"
    final_always: bool = False
    answer_reserve: int = ANSWER_RESERVE

    decides_end: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_tokens", checked_limit(self.max_tokens, self.min_tokens))
        checked_count("waits", self.waits)
        checked_count("answer_reserve", self.answer_reserve)
        for name in ("wait", "final"):
            text = getattr(self, name)
            if text is not None and not isinstance(text, str):
                raise TypeError(f"{name} must be a text or None, got {text!r}")
            if text == "":
                raise ValueError(f"{name} must not be empty; pass None to write nothing")
        if not isinstance(self.final_always, bool):
            raise TypeError(f"final_always must be True or False, got {self.final_always!r}")
        if self.final_always and self.final is None:
            raise ValueError("final_always needs a final text")

    @property
    def extends(self) -> bool:
        """Whether it ever turns a close into going on: then the sampling temperature matters."""
        return self.waits > 0 or (self.min_tokens > 0 and self.wait is not None)

    def compile(self, binding: Binding) -> Ending:
        vocabulary = binding.vocabulary
        limits = Limits(
            self.max_tokens,
            self.min_tokens,
            self.waits,
            () if self.wait is None else spell(vocabulary, self.wait, "wait"),
            () if self.final is None else spell(vocabulary, self.final, "final"),
            self.final_always,
            binding.max_new_tokens,
            self.answer_reserve,
        )
        return Ending(limits, binding)


def checked_count(name: str, value: object) -> int:
    """A whole number of at least 0.

    Raises:
        TypeError, ValueError: otherwise; `True` is no number here.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < 0:
        raise ValueError(f"{name} must be >= 0, got {value}")
    return value


def checked_limit(max_tokens: object, min_tokens: object) -> int | None:
    """The limit with -1 read as None, checked against the minimum."""
    minimum = checked_count("min_tokens", min_tokens)
    if max_tokens is None or (isinstance(max_tokens, int) and max_tokens == -1):
        return None
    if isinstance(max_tokens, int) and max_tokens < -1:
        raise ValueError(f"max_tokens must be >= 0, or -1 or None for no limit, got {max_tokens}")
    limit = checked_count("max_tokens", max_tokens)
    if minimum > limit:
        raise ValueError(f"min_tokens={minimum} is more than max_tokens={limit}")
    return limit
