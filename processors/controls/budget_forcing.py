"""`BudgetForcing`: "Wait" instead of closing, and a close at the limit (s1)."""

from __future__ import annotations

from dataclasses import dataclass

from thinkpace.processors.budgeting.budget import Budget
from thinkpace.processors.budgeting.machine import Limits
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.validators import checked_count, checked_text
from thinkpace.processors.text.vocabulary import TokenIds, spell


@dataclass(frozen=True, slots=True, repr=False)
class BudgetForcing(Budget):
    """Write `wait` where the model would have closed its thinking, and close it for the model at the limit.

    While extensions are left, or below the minimum, the probability of closing (or of ending the sequence) moves onto
    the first token of `wait`, and the rest of `wait` is written. When that token comes, whether it was natural or a
    replaced close is drawn from the two weights it came from, so that counts are exact. This makes one pass equal, in
    distribution, to s1's loop of stopping and prompting again, for greedy decoding and for sampling at any
    temperature. A top-p or top-k cut applied after it sees close and `wait` as one candidate, and may keep or drop
    them together where s1's loop would cut each by its own probability.

    Where the close is several tokens, its last one is what is replaced: the earlier ones have been written by then.
    An extension is made only if all of `wait` and one more token fit below the limits; otherwise the close is
    honoured, or below the minimum refused. In the landing no extension is made.

    Args:
        max_tokens, min_tokens, answer_reserve, landing, landing_boost, message, context_share, guard, effort: as in
            `ThinkBudget`, and so are the other names of `max_tokens`. Every attempt to close below `min_tokens` is
            extended, and counts among `waits`.
        waits: how many attempts to close are extended, whatever the minimum.
        wait: the text of an extension. None writes nothing: the close is refused and another token drawn, which still
            counts (s1's ablation "no string").
        final: written after every forced close, as in s1's evaluation code at the limit. None writes nothing.
        final_always: write `final` after a natural close as well.

    Raises:
        TypeError, ValueError: for numbers out of range or empty texts.

    >>> BudgetForcing(512, waits=1)
    BudgetForcing(max_tokens=512, waits=1)

    Source: s1, arXiv 2501.19393 v3 section 3.1, and simplescaling/s1 77272c6,
    eval/lm-evaluation-harness/lm_eval/models/vllm_causallms.py (final text only at the limit).
    Differences: the budget includes injected tokens and is not granted anew each round.
    """

    waits: int = 0
    wait: str | None = "Wait"
    final: str | None = "Final Answer:"
    final_always: bool = False

    @classmethod
    def examples(cls) -> tuple[Control, ...]:
        return (cls(1024, waits=1),)

    def _check(self) -> None:
        checked_count("waits", self.waits)
        checked_text("wait", self.wait)
        checked_text("final", self.final)
        if not isinstance(self.final_always, bool):
            raise TypeError(f"final_always must be True or False, got {self.final_always!r}")
        if self.final_always and self.final is None:
            raise ValueError("final_always needs a final text")

    @property
    def _final(self) -> str | None:
        return self.final

    @property
    def moves_probability(self) -> bool:
        """Whether it ever turns a close into going on."""
        return self.waits > 0 or (self.min_tokens > 0 and self.wait is not None)

    def _limits(self, binding: Binding, waits: int = 0, wait: TokenIds = (), final_always: bool = False) -> Limits:
        wait = () if self.wait is None else spell(binding.vocabulary, self.wait, "wait")
        return Budget._limits(self, binding, self.waits, wait, self.final_always)
