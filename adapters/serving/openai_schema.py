"""Request bodies of OpenAI's API, with the fields of other servers; errors name the invalid or unsupported field."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from thinkpace.adapters.serving.field_error import FieldError
from thinkpace.adapters.serving.thinking_fields import Reasoning, Thinking
from thinkpace.errors import MissingExtra
from thinkpace.processors.text.chat_template import names_argument

try:
    from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr
except ModuleNotFoundError as error:
    raise MissingExtra("serving", "serve") from error

MOST_CHOICES = 64
MOST_LOGPROBS = 20
MOST_STOPS, LONGEST_STOP = 64, 1_000
Count = Annotated[StrictInt, Field(ge=1)]
Penalty = Annotated[float, Field(strict=True, ge=-2, le=2)]
ELSEWHERE = "this server is small, and has none: for tools and the Responses API take vLLM or llama-server"
_NO_TOOLS = f"tools cannot be called here: leave them out ({ELSEWHERE})"
ROLES = ("system", "developer", "user", "assistant")
EARLIER = ("reasoning_content", "reasoning")  # of messages: thinking of earlier turns, which most templates drop


class StreamOptions(BaseModel):
    """Options of a streamed response. `include_obfuscation` changes nothing here: there is no encryption to protect."""

    model_config = ConfigDict(extra="forbid")

    include_usage: StrictBool = False
    include_obfuscation: StrictBool | None = None


class RequestBody(BaseModel):
    """Fields that both kinds of requests share."""

    model_config = ConfigDict(extra="forbid")

    model: StrictStr | None = None
    max_tokens: Count | None = None
    temperature: Annotated[float, Field(strict=True, ge=0, le=1000, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    top_k: Annotated[StrictInt, Field(ge=0)] | None = None
    min_p: Annotated[float, Field(strict=True, ge=0, lt=1)] | None = None
    seed: Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)] | None = None
    n: Annotated[StrictInt, Field(ge=1, le=MOST_CHOICES)] | None = None
    stop: StrictStr | list[StrictStr] | None = None
    stream: StrictBool | None = False
    stream_options: StreamOptions | None = None
    logit_bias: dict[str, Annotated[float, Field(strict=True, ge=-100, le=100)]] | None = None
    presence_penalty: Penalty | None = 0
    frequency_penalty: Penalty | None = 0
    controls: StrictStr | list[dict[str, Any]] | None = None
    # how much to think, in the words of many APIs: see `thinking_fields`
    reasoning_effort: StrictStr | None = None
    reasoning: Reasoning | None = None
    thinking: Thinking | None = None
    enable_thinking: StrictBool | None = None
    think: StrictBool | StrictStr | None = None
    thinking_token_budget: StrictInt | None = None
    thinking_budget: StrictInt | None = None
    reasoning_budget: StrictInt | None = None
    thinking_budget_tokens: StrictInt | None = None
    max_thinking_tokens: StrictInt | None = None
    budget_tokens: StrictInt | None = None
    # what stock clients send and that changes nothing in a response
    user: str | None = None
    metadata: dict[str, str] | None = None
    service_tier: StrictStr | None = None
    store: StrictBool | None = None
    prompt_cache_key: StrictStr | None = None
    prompt_cache_retention: StrictStr | None = None
    safety_identifier: StrictStr | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """Stop strings."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if any(not text for text in given):
            raise FieldError("stop", "stop holds an empty text")
        if len(given) > MOST_STOPS or any(len(text) > LONGEST_STOP for text in given):
            raise FieldError("stop", f"stop may hold {MOST_STOPS} texts of {LONGEST_STOP} characters at most")
        return tuple(given)

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with the token counts."""
        if self.stream_options is not None and not self.stream:
            raise FieldError("stream_options", "stream_options needs stream=true")
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def limit(self) -> tuple[str, int | None]:
        """Name and value of the field that limits the output tokens."""
        return "max_tokens", self.max_tokens

    @property
    def top(self) -> int:
        """How many of the likeliest tokens to report at each place; -1 reports no log-probabilities."""
        return -1

    def bias(self, size: int) -> dict[int, float]:
        """`logit_bias` by id.

        Args:
            size: of the vocabulary.
        """
        out = dict[int, float]()
        for text, value in (self.logit_bias or {}).items():
            if not text.isdecimal() or len(text) > 9 or int(text) >= size:
                raise FieldError(
                    "logit_bias", f"logit_bias: {text[:40]!r} is no token id of this model (0 to {size - 1})"
                )
            out[int(text)] = value
        return out


class Message(BaseModel):
    """One message of a conversation. Other fields are passed to the chat template, which has to read them."""

    model_config = ConfigDict(extra="allow")

    role: StrictStr
    content: StrictStr | list[dict[str, Any]] | None = None


class ChatBody(RequestBody):
    """The body of a chat completion."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Count | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    logprobs: StrictBool | None = False
    top_logprobs: Annotated[StrictInt, Field(ge=0, le=MOST_LOGPROBS)] | None = None
    modalities: list[Literal["text"]] | None = None
    verbosity: Literal["medium"] | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    parallel_tool_calls: StrictBool | None = None
    functions: list[Any] | None = None
    function_call: Any = None

    @property
    def limit(self) -> tuple[str, int | None]:
        if self.max_completion_tokens is not None and self.max_tokens is not None:
            raise FieldError("max_tokens", "max_tokens and max_completion_tokens mean the same: give one")
        if self.max_completion_tokens is not None:
            return "max_completion_tokens", self.max_completion_tokens
        return "max_tokens", self.max_tokens

    @property
    def top(self) -> int:
        if self.top_logprobs and not self.logprobs:
            raise FieldError("top_logprobs", "top_logprobs needs logprobs=true")
        return (self.top_logprobs or 0) if self.logprobs else -1

    @property
    def continues(self) -> bool:
        """Whether the last message is one of the assistant, which is then continued."""
        return self.messages[-1].role == "assistant"

    def refuse_tools(self) -> None:
        """Refuse tools, in all their forms, the field that matters first.

        Raises:
            FieldError: naming the field.
        """
        for name in ("tools", "functions"):
            if getattr(self, name):
                raise FieldError(name, _NO_TOOLS)
        for name, harmless in (("tool_choice", ("auto", "none", None)), ("function_call", ("auto", "none", None))):
            if getattr(self, name) not in harmless:
                raise FieldError(name, _NO_TOOLS)

    def check_messages(self, template: str) -> None:
        """Refuse what a chat template would ignore, or the server.

        Args:
            template: its source.

        Raises:
            FieldError: naming the field.
        """
        for i, message in enumerate(self.messages):
            if message.role in ("tool", "function"):
                raise FieldError(f"messages.{i}.role", _NO_TOOLS)
            if message.role not in ROLES:
                known = ", ".join(ROLES)
                raise FieldError(f"messages.{i}.role", f"role must be one of {known}, got {message.role[:40]!r}")
            for name, value in (message.model_extra or {}).items():
                if name in ("tool_calls", "function_call") and value:
                    raise FieldError(f"messages.{i}.{name}", _NO_TOOLS)
                if value not in (None, [], "") and name not in EARLIER and not names_argument(template, name):
                    field = f"messages.{i}.{name[:40]}"
                    raise FieldError(field, f"{field}: the chat template does not read it: leave it out")
            if message.content is None:
                raise FieldError(f"messages.{i}.content", f"messages.{i} has no content: give a text")

    def plain_messages(self) -> list[dict[str, Any]]:
        """Messages in the form that chat templates take; text parts are joined.

        Raises:
            FieldError: for parts that are not text.
        """
        out = []
        for i, message in enumerate(self.messages):
            plain = message.model_dump(exclude_none=True)
            if isinstance(message.content, list):
                if any(part.get("type") != "text" or not isinstance(part.get("text"), str) for part in message.content):
                    raise FieldError(f"messages.{i}.content", "only parts of type text can be read")
                plain["content"] = "".join(part["text"] for part in message.content)
            out.append(plain)
        return out


class CompletionBody(RequestBody):
    """The body of a text completion."""

    prompt: StrictStr | list[StrictInt]
    echo: Literal[False] | None = False
    best_of: Literal[1] | None = None
    suffix: None = None
    logprobs: Annotated[StrictInt, Field(ge=0, le=MOST_LOGPROBS)] | None = None

    @property
    def top(self) -> int:
        return -1 if self.logprobs is None else self.logprobs
