"""`BudgetForcing`: "Wait" instead of closing, and a close at the limit (s1)."""

from __future__ import annotations

from dataclasses import dataclass

from thinkpace.processors.budgeting.budget import Budget
from thinkpace.processors.budgeting.limits import Limits
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.validators import checked_count, checked_text
from thinkpace.processors.text.vocabulary import TokenIds, spell

_FINAL = "Final Answer:"


@dataclass(frozen=True, slots=True, repr=False)
class BudgetForcing(Budget):
    """Write "Wait" instead of closing; at `max_tokens` close, and write "Final Answer:".

    While extensions are left, or below the minimum, the probability of closing (or of ending the sequence) moves onto
    the first token of `wait`, and the rest of `wait` is written. When that first token is drawn, a second draw by the
    two weights decides whether it was natural or a replaced close, so that counts are exact. One pass is therefore
    equal, in distribution, to s1's loop of stopping and prompting again, for greedy decoding and for sampling at any
    temperature. A top-p or top-k cut applied afterwards sees the close and `wait` as one candidate, and may keep or
    drop them together where s1's loop would cut each by its own probability.

    A close of several tokens whose first one is special is replaced at that one. Where the close is several tokens of
    plain text, it is known at its last token only. Engines with a loop of their own (`HFEngine`, `LlamaCppEngine`,
    `ScriptedEngine`, `SegmentedEngine`) then take it back, and go on from before it, as s1 does. A logits processor
    alone cannot, and vLLM does not: there `waits` are refused, unless `approximate` is set.

    An extension is made only if all of `wait` and one more token fit below the limits; otherwise the close is honoured,
    or, below the minimum, refused. No extension is made in the landing.

    Args:
        max_tokens, min_tokens, answer_reserve, landing, landing_boost, message, context_share, guard, hold, spans,
            approximate, effort: as in `ThinkBudget`, and so are the other names of `max_tokens`. Every attempt to close
            below `min_tokens` is extended, and counts towards `waits`.
        waits: number of attempts to close that are extended, independent of the minimum.
        wait: the text of an extension. None writes nothing: the close is refused and another token drawn, which still
            counts (s1's ablation "no string").
        final: text written after every forced close, as s1's evaluation code does at the limit. None writes nothing.
        final_always: also write `final` after a natural close.

    Raises:
        TypeError, ValueError: for numbers out of range or empty texts.
        UnsupportedControl: when it is compiled, if waits would follow a half-written marker.

    >>> BudgetForcing(512, waits=1)
    BudgetForcing(max_tokens=512, waits=1)

    Source: s1, arXiv 2501.19393 v3, section 3.1, and its evaluation code. The code is simplescaling/s1 77272c6,
    eval/lm-evaluation-harness/lm_eval/models/vllm_causallms.py (final text only at the limit).
    Differences: the budget includes injected tokens, and is not granted again in each round.
    """

    waits: int = 0
    wait: str | None = "Wait"
    final: str | None = _FINAL
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
    def asks_something(self) -> bool:
        if self.waits > 0 or self.final_always or self.final not in (None, _FINAL):
            return True
        return bool(Budget.asks_something.fget(self))  # type: ignore[attr-defined]  # slots: no zero-argument super()

    @property
    def final_text(self) -> str | None:
        return self.final

    @property
    def refuses_closes(self) -> bool:
        return self.waits > 0 or self.min_tokens > 0

    @property
    def moves_probability(self) -> bool:
        """Whether any close can be replaced by `wait`."""
        return self.waits > 0 or (self.min_tokens > 0 and self.wait is not None)

    def _limits(self, binding: Binding, waits: int = 0, wait: TokenIds = (), final_always: bool = False) -> Limits:
        wait = () if self.wait is None else spell(binding.vocabulary, self.wait, "wait")
        return Budget._limits(self, binding, self.waits, wait, self.final_always)
