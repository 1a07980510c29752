"""What clients of OpenAI's protocol send, as requests of ours; a field that cannot be honoured is refused by name."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from thinkpace.errors import MissingExtra, UnsupportedControl
from thinkpace.processors.base import Control
from thinkpace.processors.budget import ALIASES, ANSWER_RESERVE, EFFORTS, ThinkBudget
from thinkpace.processors.request import Request, Sampling
from thinkpace.processors.spec import control_from_json, controls_from_text
from thinkpace.processors.structured import StructuredAnswer
from thinkpace.processors.vocabulary import TokenIds

try:
    from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr
except ModuleNotFoundError as error:
    raise MissingExtra("serving", "serve") from error

MOST_CHOICES = 64
Count = Annotated[StrictInt, Field(ge=1)]


class FieldError(ValueError):
    """A field of a request that cannot be honoured.

    Args:
        field: its name.
        message: what is wrong, and what to do.
        code: a word for programs.
    """

    def __init__(self, field: str | None, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.code = code


class _Body(BaseModel):
    """Fields that both kinds of requests share. Penalties and biases may be given where they change nothing."""

    model_config = ConfigDict(extra="forbid")

    model: StrictStr | None = None
    max_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=1000)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[StrictInt, Field(ge=0)] = 0
    min_p: Annotated[float, Field(ge=0, lt=1)] = 0.0
    seed: StrictInt | None = None
    n: Annotated[StrictInt, Field(ge=1, le=MOST_CHOICES)] = 1
    stop: StrictStr | list[StrictStr] | None = None
    stream: StrictBool | None = False
    stream_options: dict[str, Any] | None = None
    user: str | None = None
    presence_penalty: Literal[0] | None = 0
    frequency_penalty: Literal[0] | None = 0
    controls: StrictStr | list[dict[str, Any]] | None = None
    reasoning_effort: StrictStr | None = None
    thinking_token_budget: StrictInt | None = None
    thinking_budget: StrictInt | None = None
    reasoning_budget: StrictInt | None = None
    max_thinking_tokens: StrictInt | None = None
    budget_tokens: StrictInt | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts that end the answer."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if any(not text for text in given):
            raise FieldError("stop", "stop holds an empty text")
        return tuple(given)

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with the counts."""
        return bool((self.stream_options or {}).get("include_usage"))

    @property
    def limit(self) -> tuple[str, int | None]:
        """The name and the value of the limit of output tokens."""
        return "max_tokens", self.max_tokens


class Message(BaseModel):
    """One of a conversation. Fields beside these are handed to the chat template."""

    model_config = ConfigDict(extra="allow")

    role: StrictStr
    content: StrictStr | list[dict[str, Any]] | None = None


class ChatBody(_Body):
    """The body of a chat completion."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Count | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    logprobs: Literal[False] | None = False
    tools: Annotated[list[Any], Field(max_length=0)] | None = None

    @property
    def limit(self) -> tuple[str, int | None]:
        if self.max_completion_tokens is not None and self.max_tokens is not None:
            raise FieldError("max_tokens", "max_tokens and max_completion_tokens are one number: give one")
        if self.max_completion_tokens is not None:
            return "max_completion_tokens", self.max_completion_tokens
        return "max_tokens", self.max_tokens

    def plain_messages(self) -> list[dict[str, Any]]:
        """Messages as templates take them; parts of text are joined.

        Raises:
            FieldError: for parts that are no text.
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


class CompletionBody(_Body):
    """The body of a text completion."""

    prompt: StrictStr | list[StrictInt]
    echo: Literal[False] | None = False
    logprobs: None = None


def controls_of(body: _Body, standing: Sequence[Control], limit: int) -> tuple[Control, ...]:
    """What holds for a request: its own controls, and those of the server that it does not replace.

    Args:
        body: what was sent.
        standing: the server's. One that decides when thinking ends gives way to one of the request.
        limit: output tokens at most: a quarter of it is kept for the answer, 100 tokens at most.

    Raises:
        FieldError: if a field is wrong, or two of them say different things.
    """
    own = _own(body)
    own += _budget(body, min(ANSWER_RESERVE, limit // 4))
    own += _answer(body)
    ends = any(control.decides_end for control in own)
    rules = any(control.rules_answer for control in own)
    kept = [c for c in standing if not (c.decides_end and ends) and not (c.rules_answer and rules)]
    return (*kept, *own)


def _own(body: _Body) -> list[Control]:
    given = body.controls
    try:
        if isinstance(given, str):
            return list(controls_from_text(given))
        return [control_from_json(one) for one in given or ()]
    except (ValueError, TypeError, MissingExtra) as error:
        raise FieldError("controls", f"controls: {error}") from None


def _budget(body: _Body, reserve: int) -> list[Control]:
    named = {name: getattr(body, name) for name in ALIASES if getattr(body, name) is not None}
    if body.reasoning_effort is not None:
        named["reasoning_effort"] = body.reasoning_effort
    if len(named) > 1:
        raise FieldError(next(iter(named)), f"{' and '.join(named)} say the same thing: give one")
    for name, value in named.items():
        if name == "reasoning_effort" and value not in ("none", *EFFORTS):
            raise FieldError(name, f"reasoning_effort must be one of none, {', '.join(EFFORTS)}, got {value!r}")
        number = value if name != "reasoning_effort" else 0 if value == "none" else EFFORTS[value]
        try:
            return [ThinkBudget(number, answer_reserve=reserve)]
        except ValueError as error:
            raise FieldError(name, f"{name}: {error}") from None
    return []


def _answer(body: _Body) -> list[Control]:
    asked = getattr(body, "response_format", None)
    if asked is None or asked.get("type") == "text":
        return []
    schema = asked.get("json_schema", {}).get("schema") if isinstance(asked.get("json_schema"), dict) else None
    if asked.get("type") != "json_schema" or not isinstance(schema, dict):
        raise FieldError("response_format", "response_format must be text, or json_schema with a schema")
    try:
        return [StructuredAnswer(json_schema=schema)]
    except (ValueError, TypeError, MissingExtra) as error:
        raise FieldError("response_format", f"response_format: {error}") from None


def requests_of(body: _Body, prompt: TokenIds, standing: Sequence[Control], context_tokens: int) -> list[Request]:
    """One request per choice.

    Args:
        body: what was sent.
        prompt: its ids.
        standing: controls of the server.
        context_tokens: of a sequence at most.

    Raises:
        FieldError: if a field is wrong.
    """
    name, limit = body.limit
    field = "messages" if isinstance(body, ChatBody) else "prompt"
    if not prompt:
        raise FieldError(field, f"{field}: the prompt is empty")
    room = context_tokens - len(prompt)
    if room < 1 or (limit is not None and limit > room):
        says = f"the prompt has {len(prompt)} tokens, and the model holds {context_tokens}"
        raise FieldError(field if room < 1 else name, f"{says}: {name}={limit} does not fit", "context_length_exceeded")
    limit = limit or room
    controls = controls_of(body, standing, limit)
    seed = secrets.randbits(31) if body.seed is None else body.seed
    sampling = Sampling(body.temperature, body.top_p, body.top_k, body.min_p)
    return [Request(prompt, controls, limit, sampling, seed + i) for i in range(body.n)]


def refusal(error: ValueError) -> FieldError:
    """What a request that was refused on its way to the engine is told: controls are what is left to be wrong."""
    if isinstance(error, FieldError):
        return error
    return FieldError("controls" if isinstance(error, UnsupportedControl) else None, str(error))
