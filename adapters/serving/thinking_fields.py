"""The fields by which clients ask for thinking: one meaning, whatever API they were written for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from thinkpace.adapters.serving.field_error import FieldError
from thinkpace.errors import MissingExtra
from thinkpace.processors.budgeting.budget import ALIASES, EFFORTS

try:
    from pydantic import BaseModel, ConfigDict, StrictBool, StrictInt, StrictStr
except ModuleNotFoundError as error:
    raise MissingExtra("serving", "serve") from error


class Reasoning(BaseModel):
    """`reasoning` of OpenRouter and of OpenAI's Responses API."""

    model_config = ConfigDict(extra="forbid")

    effort: StrictStr | None = None
    max_tokens: StrictInt | None = None
    enabled: StrictBool | None = None
    exclude: Literal[False] | None = None
    summary: None = None


class Thinking(BaseModel):
    """`thinking` of Anthropic."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["enabled", "disabled"]
    budget_tokens: StrictInt | None = None


class Wish(NamedTuple):
    """What a request asks of the model's thinking."""

    field: str  #: the field that asked; empty if none did
    max_tokens: int | None = None  #: maximum of thinking tokens; None for no limit
    template_arguments: Mapping[str, Any] = {}  #: for the chat template
    limits: bool = True  #: whether it asks for a budget; a switch that turns thinking on does not


def wish_of(body: Any, template: str | None) -> Wish:
    """What a request asks of thinking.

    Args:
        body: the request body, with the fields of `ThinkingFields`.
        template: source of the chat template: an effort is passed on if the template knows it; None without one.

    Raises:
        FieldError: if a field is wrong, or two of them are given.
    """
    asked, switches = [*_numbers(body), *_efforts(body, template)], _switches(body)
    if len(asked) > 1:
        raise FieldError(asked[0].field, f"{' and '.join(wish.field for wish in asked)} say the same thing: give one")
    if len(set(switches.values())) > 1:
        names = " and ".join(switches)
        raise FieldError(names.partition(".")[0].partition(" ")[0], f"{names} say opposite things: give one")
    if not switches:
        return asked[0] if asked else Wish("")
    name, on = next(iter(switches.items()))
    if asked and on == (asked[0].max_tokens == 0):
        turned = "on" if on else "off"
        raise FieldError(
            name.partition(".")[0], f"{name} turns thinking {turned}, and {asked[0].field} asks otherwise: give one"
        )
    template_arguments: dict[str, Any] = {"enable_thinking": on, "thinking": on}
    if asked:
        return asked[0]._replace(template_arguments={**template_arguments, **asked[0].template_arguments})
    return Wish(name, None if on else 0, template_arguments, limits=not on)


def _numbers(body: Any) -> list[Wish]:
    named = {name: getattr(body, name) for name in ALIASES}
    if body.reasoning is not None:
        named["reasoning.max_tokens"] = body.reasoning.max_tokens
    if body.thinking is not None:
        named["thinking.budget_tokens"] = body.thinking.budget_tokens
    return [Wish(name, _checked(name, number)) for name, number in named.items() if number is not None]


def _checked(name: str, number: int) -> int | None:
    if number < -1:
        raise FieldError(name.partition(".")[0], f"{name} must be at least 0, or -1 for no limit, got {number}")
    return None if number == -1 else number


def _efforts(body: Any, template: str | None) -> list[Wish]:
    named = {"reasoning_effort": body.reasoning_effort}
    if body.reasoning is not None:
        named["reasoning.effort"] = body.reasoning.effort
    if isinstance(body.think, str):
        named["think"] = body.think
    return [_effort(name, value, template) for name, value in named.items() if value is not None]


def _effort(name: str, value: str, template: str | None) -> Wish:
    if value not in ("none", *EFFORTS):
        raise FieldError(name.partition(".")[0], f"{name} must be one of none, {', '.join(EFFORTS)}, got {value!r}")
    knows = template is not None and "reasoning_effort" in template
    return Wish(name, 0 if value == "none" else EFFORTS[value], {"reasoning_effort": value} if knows else {})


def _switches(body: Any) -> dict[str, bool]:
    """Which fields turn thinking on or off."""
    named = {"enable_thinking": body.enable_thinking}
    if isinstance(body.think, bool):
        named["think"] = body.think
    if body.reasoning is not None:
        named["reasoning.enabled"] = body.reasoning.enabled
    if body.thinking is not None:
        named["thinking"] = body.thinking.type == "enabled"
    return {name: on for name, on in named.items() if on is not None}
