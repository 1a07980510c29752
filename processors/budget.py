"""Budgets: how many tokens a model may, and must, think."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import Any, ClassVar

from thinkpace.errors import UnsupportedControl
from thinkpace.processors.base import Binding, Control, Processor
from thinkpace.processors.chain import chain
from thinkpace.processors.checks import checked_count, checked_limit, checked_number, checked_text
from thinkpace.processors.closing import Closing
from thinkpace.processors.ending import Ending, Limits
from thinkpace.processors.guard import Guard
from thinkpace.processors.vocabulary import TokenIds, spell

ANSWER_RESERVE = 100  # s1's evaluation code keeps as many for the answer when its budget is "auto"

#: thinking tokens at most, per level of effort; engines and services have no common table, this one is ours
EFFORTS: Mapping[str, int] = {"low": 1024, "medium": 4096, "high": 16384}

#: what Qwen's own two-call procedure says before the close when thinking was cut (Qwen3 documentation; the technical
#: report, arXiv 2505.09388, section 4.7, prints a full stop after the close)
QWEN3_MESSAGE = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly now.\n"
)

#: other names of `max_tokens`, and who calls it so
ALIASES: Mapping[str, str] = {
    "thinking_token_budget": "vLLM, TensorRT-LLM",
    "thinking_budget": "SGLang, Qwen, Gemini",
    "reasoning_budget": "llama.cpp",
    "max_thinking_tokens": "NIM",
    "budget_tokens": "Anthropic",
}


@dataclass(frozen=True, slots=True, repr=False)
class Budget(Control):
    """What all budgets share; `ThinkBudget` describes the fields."""

    max_tokens: int | None = None
    min_tokens: int = 0
    answer_reserve: int = field(default=ANSWER_RESERVE, kw_only=True)
    landing: int = field(default=0, kw_only=True)
    landing_boost: float = field(default=5.0, kw_only=True)
    message: str | None = field(default=None, kw_only=True)
    context_share: float | None = field(default=None, kw_only=True)
    guard: int = field(default=0, kw_only=True)
    effort: InitVar[str | None] = field(default=None, kw_only=True)
    thinking_token_budget: InitVar[int | None] = field(default=None, kw_only=True)
    thinking_budget: InitVar[int | None] = field(default=None, kw_only=True)
    reasoning_budget: InitVar[int | None] = field(default=None, kw_only=True)
    max_thinking_tokens: InitVar[int | None] = field(default=None, kw_only=True)
    budget_tokens: InitVar[int | None] = field(default=None, kw_only=True)

    decides_end: ClassVar[bool] = True

    def __post_init__(self, effort: str | None, *aliased: int | None) -> None:
        given = {"max_tokens": self.max_tokens, "effort": effort, **dict(zip(ALIASES, aliased, strict=True))}
        named = [name for name, value in given.items() if value is not None]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} are names of the same number: give one")
        if effort is not None and (not isinstance(effort, str) or effort not in EFFORTS):
            raise ValueError(f"effort must be one of {', '.join(EFFORTS)}, got {effort!r}")
        set_ = object.__setattr__
        limit = EFFORTS[effort] if effort is not None else given[named[0]] if named else None
        set_(self, "max_tokens", checked_limit(limit, named[0] if named else "max_tokens"))
        for name in ("min_tokens", "answer_reserve", "landing", "guard"):
            checked_count(name, getattr(self, name))
        taken = self.min_tokens + (self.landing if self.max_tokens != 0 else 0)  # at 0 there is nothing to land
        if self.max_tokens is not None and taken > self.max_tokens:
            landing = f" and landing={self.landing}" if self.landing else ""
            raise ValueError(f"min_tokens={self.min_tokens}{landing} is more than max_tokens={self.max_tokens}")
        set_(self, "landing_boost", checked_number("landing_boost", self.landing_boost, 0.0, 1e4))
        checked_text("message", self.message)
        if self.context_share is not None:
            set_(self, "context_share", checked_number("context_share", self.context_share, 0.0, 1.0))
            if self.context_share == 0:
                raise ValueError("context_share must be more than 0; to close at once pass max_tokens=0")
        self._check()

    def _check(self) -> None:
        """Check what a kind of budget has beside the common fields."""

    @property
    def _final(self) -> str | None:
        return None

    def closing(self, binding: Binding) -> Closing:
        """How it closes thinking, for whoever asks for it."""
        vocabulary = binding.vocabulary
        return Closing(
            binding,
            () if self.message is None else spell(vocabulary, self.message, "message"),
            () if self._final is None else spell(vocabulary, self._final, "final"),
            self.min_tokens,
        )

    def compile(self, binding: Binding) -> Processor[Any]:
        ending = Ending(self._limits(binding), self.closing(binding), binding)
        return chain(ending, Guard(self.guard, binding)) if self.guard else ending

    def _limits(self, binding: Binding, waits: int = 0, wait: TokenIds = (), final_always: bool = False) -> Limits:
        limit = self.max_tokens
        if self.context_share is not None:
            if binding.context_tokens is None:
                raise UnsupportedControl(
                    f"context_share={self.context_share:g} needs to know how many tokens the model can hold: pass "
                    "context_tokens, or max_tokens instead"
                )
            share = int(self.context_share * binding.context_tokens)
            if share < max(1, self.min_tokens + self.landing):
                raise UnsupportedControl(
                    f"context_share={self.context_share:g} of {binding.context_tokens} tokens is {share}: less than "
                    f"1, or than min_tokens={self.min_tokens} and landing={self.landing}"
                )
            limit = share if limit is None else min(share, limit)
        return Limits(
            limit,
            self.min_tokens,
            waits,
            wait,
            final_always,
            binding.max_new_tokens,
            self.answer_reserve,
            self.landing if limit != 0 else 0,
            self.landing_boost,
        )


@dataclass(frozen=True, slots=True, repr=False)
class ThinkBudget(Budget):
    """Close the thinking block once `max_tokens` have been spent in it, and not before `min_tokens`.

    At the limit the closing sequence is written token by token; a close that the model has half written is completed,
    not begun again. Below the minimum the model cannot close, and draws something else. Ending the sequence inside
    thinking counts as closing, so that an answer follows. Thinking that is opened again keeps to what is left, and
    cannot be opened when nothing is left. To write "Wait" instead of closing, see `BudgetForcing`.

    Args:
        max_tokens: thinking tokens at most, all blocks together; injected tokens count, markers and the closing
            sequence do not. None or -1: no limit. 0: close at once.
        min_tokens: thinking tokens at least, 0 or more, at most `max_tokens` less `landing`.
        answer_reserve: output tokens kept for the answer inside the request's own limit; thinking is closed early
            enough. Counts only where the limit is known (`max_new_tokens`). Default 100, as s1's evaluation code has.
        landing: the last thinking tokens before the limit (or before the reserve), in which thinking ends at the
            first end of a sentence or line, and in which closing becomes ever more likely. The limit holds anyway.
        landing_boost: what is added to the logit of closing at the last token of the landing, 0 or more; it grows
            from 1/landing of it in equal steps.
        message: written before the closing marker whenever thinking is closed by force, unless the model has begun
            the marker; it belongs to the closing sequence. `QWEN3_MESSAGE` is a preset. None writes nothing.
        context_share: limits thinking to this share of what the model can hold, in (0, 1]; with `max_tokens` the
            smaller holds. Needs an engine that tells how much that is.
        guard: for so many answer tokens after a forced close the model can neither say what starts another thought
            ("Wait", "Alternatively", ...) nor close again; and with any guard thinking is not opened again.
        effort: instead of `max_tokens`: "low", "medium" or "high" (1,024, 4,096, 16,384).
        thinking_token_budget, thinking_budget, reasoning_budget, max_thinking_tokens, budget_tokens: other names of
            `max_tokens`, to be given when it is built; at most one of all of these. Read `max_tokens`.

    Raises:
        TypeError, ValueError: for numbers out of range, an unknown effort, or two names of the limit at once.

    >>> ThinkBudget(512)
    ThinkBudget(max_tokens=512)
    >>> ThinkBudget(reasoning_budget=512) == ThinkBudget(thinking_token_budget=512) == ThinkBudget(512)
    True

    Source: s1 (arXiv 2501.19393 v3, section 3.1), without its texts; the message as in Qwen3's documentation. Counting
    differs from s1's scripts, which re-tokenise text: here the ids that were generated are counted.
    """


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
