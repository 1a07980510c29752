"""What clients of OpenAI's protocol send, as requests of ours; a field that cannot be honoured is refused by name."""

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


class StreamOptions(BaseModel):
    """What a stream holds beside its text."""

    model_config = ConfigDict(extra="forbid")

    include_usage: StrictBool = False


class _Body(BaseModel):
    """Fields that both kinds of requests share. Penalties and biases may be given where they change nothing."""

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
        """Texts that end the answer."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if any(not text for text in given):
            raise FieldError("stop", "stop holds an empty text")
        return tuple(given)

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with the counts."""
        if self.stream_options is not None and not self.stream:
            raise FieldError("stream_options", "stream_options goes with stream=true only")
        return self.stream_options is not None and self.stream_options.include_usage

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
    tools: list[Any] | None = None
    tool_choice: None = None

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


def controls_of(body: _Body, standing: Sequence[Control], limit: int) -> tuple[Control, ...]:
    """What holds for a request: its own controls, and those of the server that it does not replace.

    Args:
        body: what was sent.
        standing: the server's. One that decides when thinking ends gives way to one of the request.
        limit: output tokens at most. Where a budget does not say how many are kept for the answer, it is a quarter
            of them, 100 at most.

    Raises:
        FieldError: if a field is wrong, or two of them say different things.
    """
    own = [*_own(body), *_budget(body), *_answer(body)]
    ends = any(control.decides_end for control in own)
    rules = any(control.rules_answer for control in own)
    kept = [c for c in standing if not (c.decides_end and ends) and not (c.rules_answer and rules)]
    return tuple(_reserving(control, min(ANSWER_RESERVE, limit // 4)) for control in (*kept, *own))


def _reserving(control: Control, reserve: int) -> Control:
    """A control that keeps as many tokens for the answer as fit, unless it says how many."""
    data = control.to_json()
    if not isinstance(control, Budget) or data.get("answer_reserve", ANSWER_RESERVE) != ANSWER_RESERVE:
        return control
    return control_from_json({**data, "answer_reserve": reserve})


def _own(body: _Body) -> list[Control]:
    given = body.controls
    try:
        if isinstance(given, str):
            return list(controls_from_text(given))
        return [control_from_json(one) for one in given or ()]
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
        if room >= 1:
            says += f": {name}={limit} does not fit"
        raise FieldError(field if room < 1 else name, says, "context_length_exceeded")
    limit = limit or room
    controls = controls_of(body, standing, limit)
    seed = secrets.randbits(31) if body.seed is None else body.seed
    given = {name: getattr(body, name) for name in ("temperature", "top_p", "top_k", "min_p")}
    sampling = Sampling(**{name: value for name, value in given.items() if value is not None})
    return [Request(prompt, controls, limit, sampling, seed + i) for i in range(body.n or 1)]


def refusal(error: Exception, body: _Body) -> FieldError:
    """What a request that was refused on its way to the engine is told.

    Args:
        error: what the engine said: controls are all that is left to be wrong.
        body: what was sent.
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
