"""Parses request bodies of OpenAI's API into our requests; errors name the invalid or unsupported field."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from thinkpace.engine import Request, Sampling
from thinkpace.errors import MissingExtra, UnsupportedControl
from thinkpace.processors.budgeting.budget import ALIASES, ANSWER_RESERVE, EFFORTS, Budget
from thinkpace.processors.controls.structured_answer import StructuredAnswer
from thinkpace.processors.controls.think_budget import ThinkBudget
from thinkpace.processors.core.control import Control
from thinkpace.processors.spec import control_from_json, controls_from_text
from thinkpace.processors.text.vocabulary import TokenIds

try:
    from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr
except ModuleNotFoundError as error:
    raise MissingExtra("serving", "serve") from error

MOST_CHOICES = 64
Count = Annotated[StrictInt, Field(ge=1)]
_NO_TOOLS = "tools cannot be called here: leave them out"


class FieldError(ValueError):
    """A field of a request is invalid or not supported.

    Args:
        field: its name.
        message: what is wrong, and what to do.
        code: machine-readable error code.
    """

    def __init__(self, field: str | None, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.code = code


class StreamOptions(BaseModel):
    """Options of a streamed response."""

    model_config = ConfigDict(extra="forbid")

    include_usage: StrictBool = False


class _Body(BaseModel):
    """Fields that both kinds of requests share. Penalties and biases are accepted only if they have no effect."""

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
    logit_bias: None = None
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
        """Stop strings."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if any(not text for text in given):
            raise FieldError("stop", "stop holds an empty text")
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


class Message(BaseModel):
    """One message of a conversation. Other fields are passed to the chat template."""

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
    tools: list[Any] | None = None
    tool_choice: None = None

    @property
    def limit(self) -> tuple[str, int | None]:
        if self.max_completion_tokens is not None and self.max_tokens is not None:
            raise FieldError("max_tokens", "max_tokens and max_completion_tokens mean the same: give one")
        if self.max_completion_tokens is not None:
            return "max_completion_tokens", self.max_completion_tokens
        return "max_tokens", self.max_tokens

    def plain_messages(self) -> list[dict[str, Any]]:
        """Messages in the form that chat templates take; text parts are joined.

        Raises:
            FieldError: for parts that are not text, or tools.
        """
        if self.tools:
            raise FieldError("tools", _NO_TOOLS)
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


def request_controls(body: _Body, standing: Sequence[Control], limit: int) -> tuple[Control, ...]:
    """The controls that apply to a request: its own, and those of the server that it does not replace.

    Args:
        body: the request body.
        standing: the server's controls. One that decides when thinking ends is dropped if the request has such a
            control too; likewise one that sets rules for the answer.
        limit: maximum number of output tokens. A budget without an answer reserve gets a quarter of it, 100 at most.

    Raises:
        FieldError: if a field is wrong, or two fields contradict each other.
    """
    requested = [*_given_controls(body), *_budget(body), *_answer(body)]
    ends = any(control.decides_end for control in requested)
    rules = any(control.rules_answer for control in requested)
    defaults = [c for c in standing if not (c.decides_end and ends) and not (c.rules_answer and rules)]
    return tuple(_reserving(control, min(ANSWER_RESERVE, limit // 4)) for control in (*defaults, *requested))


def _reserving(control: Control, reserve: int) -> Control:
    """The control; if it is a budget with the default answer reserve, with `reserve` instead."""
    data = control.to_json()
    if not isinstance(control, Budget) or data.get("answer_reserve", ANSWER_RESERVE) != ANSWER_RESERVE:
        return control
    return control_from_json({**data, "answer_reserve": reserve})


def _given_controls(body: _Body) -> list[Control]:
    given = body.controls
    try:
        if isinstance(given, str):
            return list(controls_from_text(given))
        return [control_from_json(data) for data in given or ()]
    except RecursionError:
        raise FieldError("controls", "controls: nested too deep") from None
    except (ValueError, TypeError, MissingExtra) as error:
        raise FieldError("controls", f"controls: {error}") from None


def _budget(body: _Body) -> list[Control]:
    named = {name: getattr(body, name) for name in ALIASES if getattr(body, name) is not None}
    if body.reasoning_effort is not None:
        named["reasoning_effort"] = body.reasoning_effort
    if len(named) > 1:
        raise FieldError(next(iter(named)), f"{' and '.join(named)} say the same thing: give one")
    for name, value in named.items():
        if name == "reasoning_effort" and value not in ("none", *EFFORTS):
            raise FieldError(name, f"reasoning_effort must be one of none, {', '.join(EFFORTS)}, got {value!r}")
        number = value if name != "reasoning_effort" else 0 if value == "none" else EFFORTS[value]
        if isinstance(number, int) and number < -1:
            raise FieldError(name, f"{name} must be at least 0, or -1 for no limit, got {number}")
        return [ThinkBudget(number)]
    return []


def _answer(body: _Body) -> list[Control]:
    response_format = getattr(body, "response_format", None)
    if response_format is None or response_format.get("type") == "text":
        return []
    schema = (
        response_format.get("json_schema", {}).get("schema")
        if isinstance(response_format.get("json_schema"), dict)
        else None
    )
    if response_format.get("type") != "json_schema" or not isinstance(schema, dict):
        raise FieldError("response_format", "response_format must be text, or json_schema with a schema")
    try:
        return [StructuredAnswer(json_schema=schema)]
    except (ValueError, TypeError, MissingExtra) as error:
        raise FieldError("response_format", f"response_format: {error}") from None


def requests_of(body: _Body, prompt: TokenIds, standing: Sequence[Control], context_tokens: int) -> list[Request]:
    """Build one request per choice.

    Args:
        body: the request body.
        prompt: ids of its prompt.
        standing: the server's controls.
        context_tokens: maximum number of tokens of a sequence.

    Raises:
        FieldError: if a field is wrong.
    """
    name, limit = body.limit
    field = "messages" if isinstance(body, ChatBody) else "prompt"
    if not prompt:
        raise FieldError(field, f"{field}: the prompt is empty")
    room = context_tokens - len(prompt)
    if room < 1 or (limit is not None and limit > room):
        message = f"the prompt has {len(prompt)} tokens, and the model holds {context_tokens}"
        if room >= 1:
            message += f": {name}={limit} does not fit"
        raise FieldError(field if room < 1 else name, message, "context_length_exceeded")
    limit = limit or room
    controls = request_controls(body, standing, limit)
    seed = secrets.randbits(31) if body.seed is None else body.seed
    given = {name: getattr(body, name) for name in ("temperature", "top_p", "top_k", "min_p")}
    sampling = Sampling(**{name: value for name, value in given.items() if value is not None})
    return [Request(prompt, controls, limit, sampling, seed + i) for i in range(body.n or 1)]


def refusal(error: Exception, body: _Body) -> FieldError:
    """The error of the field that made the engine refuse a request.

    Args:
        error: raised by the engine. If it names no other field, controls are at fault: the rest was checked before.
        body: the request body.
    """
    if isinstance(error, FieldError):
        return error
    name, _ = body.limit
    field = error.field if isinstance(error, UnsupportedControl) else None
    if field == "temperature":
        return FieldError("temperature", str(error))
    if field == "max_new_tokens":
        return FieldError(name, str(error).replace("max_new_tokens", name))
    sent = [field for field in ("controls", "response_format", *ALIASES) if getattr(body, field, None) is not None]
    return FieldError(sent[0] if sent else "controls", str(error))
