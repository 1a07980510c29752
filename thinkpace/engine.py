"""Requests and completions: the common interface of all engines, used by eval and the controllers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal, Protocol

from thinkpace.errors import UnsupportedControl
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.replay import DrawHistory
from thinkpace.processors.core.token_kinds import TokenKind
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import TokenIds, Vocabulary
from thinkpace.types import Receipt, Usage


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn.

    Args:
        temperature: 0 for greedy, otherwise above 0.
        top_p: nucleus sampling, in (0, 1]; 1 is off.
        top_k: only the k likeliest tokens; 0 is off.
        min_p: only tokens with at least this fraction of the likeliest token's probability, in [0, 1); 0 is off. The
            filters apply after the temperature, in the order top-k, top-p, min-p, as in transformers.

    Raises:
        TypeError, ValueError: for values that are not numbers, or out of range.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        for name in ("temperature", "top_p", "top_k", "min_p"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int if name == "top_k" else int | float):
                raise TypeError(f"{name} must be a number, got {value!r}")
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature must be >= 0 (0 is greedy), got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1], got {self.top_p}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be >= 0 (0 is off), got {self.top_k}")
        if not 0 <= self.min_p < 1:
            raise ValueError(f"min_p must be in [0, 1) (0 is off), got {self.min_p}")

    @property
    def filters(self) -> bool:
        """Whether top-k, top-p or min-p shapes the distribution."""
        return self.temperature > 0 and bool(self.top_k or self.top_p < 1 or self.min_p)


@dataclass(frozen=True, slots=True)
class Request:
    """A request for one generation.

    Args:
        prompt: token ids, with the chat template already applied.
        controls: the controls of this generation, in order.
        max_new_tokens: maximum of output tokens, 1 or more.
        sampling: how tokens are drawn.
        seed: seed of this sample alone: its result does not depend on what is generated beside it.
        continue_from: output ids to continue from. They count as output, and must be tokens that the controls would
            have allowed; replays use them.
        history: draw history of `continue_from`.

    Raises:
        ValueError: for an empty prompt, a limit below 1, or more output than the limit.
        TypeError: for controls that are not a tuple, or a seed that is not a whole number.
    """

    prompt: TokenIds
    controls: tuple[Control, ...] = ()
    max_new_tokens: int = 1024
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    continue_from: TokenIds = ()
    history: DrawHistory = field(default_factory=DrawHistory)

    def __post_init__(self) -> None:
        if not self.prompt:
            raise ValueError("the prompt must have at least one token")
        if not isinstance(self.max_new_tokens, int) or self.max_new_tokens is True or self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be a whole number >= 1, got {self.max_new_tokens!r}")
        if not isinstance(self.controls, tuple):
            raise TypeError(f"controls must be a tuple of controls, got {self.controls!r}")
        if not isinstance(self.seed, int):
            raise TypeError(f"seed must be a whole number, got {self.seed!r}")
        if len(self.continue_from) > self.max_new_tokens:
            raise ValueError(
                f"continue_from holds {len(self.continue_from)} tokens, more than max_new_tokens={self.max_new_tokens}"
            )

    def check_room(self, context_tokens: int | None) -> None:
        """Check that the request fits a model that holds `context_tokens`; None skips the check.

        Raises:
            UnsupportedControl: if the prompt and `max_new_tokens` are more tokens than that.
        """
        if context_tokens is not None and len(self.prompt) + self.max_new_tokens > context_tokens:
            raise UnsupportedControl(
                f"a prompt of {len(self.prompt)} tokens and max_new_tokens={self.max_new_tokens} do not fit the "
                f"model's {context_tokens} positions",
                field="max_new_tokens",
            )


@dataclass(frozen=True, slots=True)
class Completion:
    """The result of a request.

    Args:
        tokens: output ids up to and including the end-of-sequence token.
        kinds: kind of every token: "thinking", "injected", "closing", "marker" or "answer".
        text: text of all tokens, for display.
        thinking: text of the thinking tokens, without markers.
        answer: text after the last close, special tokens left out; empty if thinking was opened and never closed.
        receipt: what the controls did.
        finish_reason: "stop" if the sequence ended by itself, "length" at the limit.
        seed: seed of the request.
        first_answer_s: seconds from the start of the `generate` call to the first token of the answer; None if the
            engine does not report it, or there is no answer. Ignored when completions are compared.
    """

    tokens: TokenIds
    kinds: tuple[TokenKind, ...]
    text: str
    thinking: str
    answer: str
    receipt: Receipt
    finish_reason: Literal["stop", "length"]
    seed: int
    first_answer_s: float | None = field(default=None, compare=False)

    @property
    def usage(self) -> Usage:
        """Token counts by kind."""
        return self.receipt.usage

    def _repr_html_(self) -> str:
        """For notebooks: thinking folded away, the answer, the receipt."""
        summary = f"thinking: {self.receipt.thinking_tokens} tokens"
        thinking = f"<details><summary>{summary}</summary><pre>{escape(self.thinking)}</pre></details>"
        return f"{thinking}<pre>{escape(self.answer)}</pre>{self.receipt._repr_html_()}"


class Engine(Protocol):
    """Generates completions. A request means the same to every engine."""

    @property
    def name(self) -> str:
        """Its name in the journal and in reports."""
        ...

    @property
    def identity(self) -> str:
        """Tells apart models of the same name, so that a journal is never continued with another model."""
        ...

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of its tokenizer."""
        ...

    @property
    def markers(self) -> Markers:
        """The thinking markers of its model."""
        ...

    @property
    def context_tokens(self) -> int | None:
        """How many tokens its model can hold, prompt included; None if unknown."""
        ...

    @property
    def takes_back(self) -> bool:
        """Whether it takes back a close of several tokens of plain text that a control refuses (`State.take_back`)."""
        ...

    @property
    def can_continue(self) -> bool:
        """Whether it can continue from given output (`Request.continue_from`), which replays need."""
        ...

    def chat(
        self, messages: Sequence[dict[str, str]], template_arguments: Mapping[str, object] | None = None
    ) -> TokenIds:
        """The prompt ids of a conversation, ready for the model to answer.

        Args:
            messages: role and content of each.
            template_arguments: passed on to the chat template, such as `{"enable_thinking": False}`.

        Raises:
            UnsupportedControl: if the template refuses them.
        """
        ...

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion per request, in their order.

        Raises:
            UnsupportedControl: before anything is generated, if the engine cannot apply a control.
        """
        ...
