"""Budgets: the fields shared by the controls that decide when thinking ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import InitVar, dataclass, field
from typing import Any, ClassVar

from thinkpace.errors import UnsupportedControl
from thinkpace.processors.budgeting.guard import Guard
from thinkpace.processors.budgeting.limits import Limits
from thinkpace.processors.budgeting.machine import BudgetMachine
from thinkpace.processors.budgeting.spans import Spans
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.chain import chain
from thinkpace.processors.core.closing import ClosingSequence
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.validators import checked_count, checked_limit, checked_number, checked_text
from thinkpace.processors.text.vocabulary import TokenIds, spell

ANSWER_RESERVE = 100  # output tokens; s1's evaluation code reserves as many for the answer when its budget is "auto"

#: maximum of thinking tokens per level of effort; engines and services share no common table, this one is ours
EFFORTS: Mapping[str, int] = {"minimal": 256, "low": 1024, "medium": 4096, "high": 16384, "xhigh": 65536}

#: the text that Qwen's own two-call procedure writes before the close when it cuts thinking (Qwen3 documentation; the
#: technical report, arXiv 2505.09388, section 4.7, prints a full stop after the close)
QWEN3_MESSAGE = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly now.\n"
)

#: what `hold` finishes: tool calls as Qwen's and Hermes' templates write them, and fenced code
SPANS = (("<tool_call>", "</tool_call>"), ("\n```", "\n```"))

#: other names of `max_tokens`, and the projects that use them
ALIASES: Mapping[str, str] = {
    "thinking_token_budget": "vLLM, TensorRT-LLM",
    "thinking_budget": "SGLang, Qwen, Gemini",
    "reasoning_budget": "llama.cpp",
    "thinking_budget_tokens": "llama-server",
    "max_thinking_tokens": "NIM",
    "budget_tokens": "Anthropic",
}


@dataclass(frozen=True, slots=True, repr=False)
class Budget(Control):
    """Base class of the budgets; `ThinkBudget` documents the fields."""

    max_tokens: int | None = None
    min_tokens: int = 0
    answer_reserve: int = field(default=ANSWER_RESERVE, kw_only=True)
    landing: int = field(default=0, kw_only=True)
    landing_boost: float = field(default=5.0, kw_only=True)
    message: str | None = field(default=None, kw_only=True)
    context_share: float | None = field(default=None, kw_only=True)
    guard: int = field(default=0, kw_only=True)
    hold: int = field(default=0, kw_only=True, metadata={"since": "stored without it"})
    spans: tuple[tuple[str, str], ...] = field(default=SPANS, kw_only=True, metadata={"since": "stored without it"})
    approximate: bool = field(default=False, kw_only=True, metadata={"since": "stored without it"})
    effort: InitVar[str | None] = field(default=None, kw_only=True)
    thinking_token_budget: InitVar[int | None] = field(default=None, kw_only=True)
    thinking_budget: InitVar[int | None] = field(default=None, kw_only=True)
    reasoning_budget: InitVar[int | None] = field(default=None, kw_only=True)
    thinking_budget_tokens: InitVar[int | None] = field(default=None, kw_only=True)
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
        for name in ("min_tokens", "answer_reserve", "landing", "guard", "hold"):
            checked_count(name, getattr(self, name))
        taken = self.min_tokens + (self.landing if self.max_tokens != 0 else 0)  # with a limit of 0 there is no landing
        if self.max_tokens is not None and taken > self.max_tokens:
            landing = f" and landing={self.landing}" if self.landing else ""
            raise ValueError(f"min_tokens={self.min_tokens}{landing} is more than max_tokens={self.max_tokens}")
        set_(self, "landing_boost", checked_number("landing_boost", self.landing_boost, 0.0, 1e4))
        checked_text("message", self.message)
        if self.context_share is not None:
            set_(self, "context_share", checked_number("context_share", self.context_share, 0.0, 1.0))
            if self.context_share == 0:
                raise ValueError("context_share must be more than 0; to close at once pass max_tokens=0")
        set_(self, "spans", _checked_spans(self.spans))
        if not isinstance(self.approximate, bool):
            raise TypeError(f"approximate must be True or False, got {self.approximate!r}")
        self._check()

    def _check(self) -> None:
        """Check the fields that a subclass adds."""

    @property
    def final_text(self) -> str | None:
        """The text that it writes after a forced close; None for none."""
        return None

    @property
    def refuses_closes(self) -> bool:
        """Whether attempts to close may be refused."""
        return self.min_tokens > 0

    @property
    def asks_something(self) -> bool:
        if self.max_tokens == 0:  # no thinking is asked for, and there is none where none is opened
            return False
        return self.max_tokens is not None or self.min_tokens > 0 or self.context_share is not None

    def closing(self, binding: Binding) -> ClosingSequence:
        """The closing sequence, used by this control and by all others that close thinking."""
        vocabulary = binding.vocabulary
        return ClosingSequence(
            binding,
            () if self.message is None else spell(vocabulary, self.message, "message"),
            () if self.final_text is None else spell(vocabulary, self.final_text, "final"),
            self.min_tokens,
        )

    def compile(self, binding: Binding) -> Processor[Any]:
        ending, around = BudgetMachine(self._limits(binding), self.closing(binding), binding), [*self._around(binding)]
        return chain(ending, *around) if around else ending

    def _around(self, binding: Binding) -> Iterator[Processor[Any]]:
        """What may follow the machine: a guard, and the spans that hold a close."""
        if self.guard:
            yield Guard(self.guard, binding)
        if self.hold:
            yield Spans(self.hold, self.spans, binding)

    def _limits(self, binding: Binding, waits: int = 0, wait: TokenIds = (), final_always: bool = False) -> Limits:
        self._check_close(binding)
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
            max_tokens=limit,
            min_tokens=self.min_tokens,
            waits=waits,
            wait=wait,
            final_always=final_always,
            max_new_tokens=binding.max_new_tokens,
            answer_reserve=self.answer_reserve,
            landing=self.landing if limit != 0 else 0,
            landing_boost=self.landing_boost,
            held=self.hold > 0,
        )

    def _check_close(self, binding: Binding) -> None:
        """Refuse a close that could not be refused cleanly.

        Raises:
            UnsupportedControl: if attempts to close leave half a marker behind.
        """
        close = binding.markers.close_spellings[0]
        if (
            close in binding.markers.plain_closes
            and self.refuses_closes
            and not binding.takes_back
            and not self.approximate
        ):
            text = binding.vocabulary.decode(close)
            raise UnsupportedControl(
                f"the close {text!r} is {len(close)} tokens of plain text here, and what runs the model cannot take "
                "them back: what comes instead would follow a half-written marker. HFEngine and LlamaCppEngine can; or "
                "accept that with approximate=True"
            )


def _checked_spans(spans: object) -> tuple[tuple[str, str], ...]:
    """Check for pairs of texts, and return them.

    Raises:
        TypeError, ValueError: otherwise.
    """
    if not isinstance(spans, list | tuple) or not spans:
        raise TypeError(f'spans must be pairs of texts such as ("<tool_call>", "</tool_call>"), got {spans!r}')
    for span in spans:
        if not isinstance(span, list | tuple) or len(span) != 2 or not all(isinstance(text, str) for text in span):
            raise TypeError(f"a span must be the two texts that begin and end it, got {span!r}")
        for text in span:
            checked_text("spans", text)
    return tuple((begin, end) for begin, end in spans)
