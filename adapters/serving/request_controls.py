"""The controls of a request: its own, those of the server that it does not replace, and the operator's ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from thinkpace.adapters.serving.field_error import FieldError
from thinkpace.adapters.serving.openai_schema import ChatBody, RequestBody
from thinkpace.adapters.serving.thinking_fields import Wish
from thinkpace.errors import MissingExtra
from thinkpace.processors.budgeting.budget import ANSWER_RESERVE, Budget
from thinkpace.processors.controls.structured_answer import StructuredAnswer
from thinkpace.processors.controls.think_budget import ThinkBudget
from thinkpace.processors.core.control import Control
from thinkpace.processors.spec import control_from_json, controls_from_text


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator of a server decides.

    Args:
        controls: of every request; one that decides when thinking ends, or sets rules for the answer, gives way to such
            a control of the request.
        max_thinking_tokens: maximum of thinking tokens of every request, whatever it asks for; None for no ceiling.
    """

    controls: tuple[Control, ...] = ()
    max_thinking_tokens: int | None = None


def check_policy(policy: Policy) -> None:
    """Check that the operator's controls fit under the operator's ceiling.

    Raises:
        ValueError: if a request without controls of its own would be refused.
    """
    try:
        _capped(policy.controls, policy.max_thinking_tokens)
    except FieldError as error:
        raise ValueError(f"--control and --max-thinking-tokens: {error}") from None


def request_controls(body: RequestBody, wish: Wish, policy: Policy, limit: int) -> tuple[Control, ...]:
    """The controls that apply to a request.

    Args:
        body: the request body.
        wish: what it asks of thinking.
        policy: the operator's. A control of it that decides when thinking ends is dropped if the request has such a
            control too; likewise one that sets rules for the answer.
        limit: maximum number of output tokens. A budget without an answer reserve gets a quarter of it, 100 at most.

    Raises:
        FieldError: if a field is wrong, or two fields contradict each other.
    """
    answer = _answer(body)
    requested = [
        *_given_controls(body),
        *([ThinkBudget(wish.max_tokens)] if wish.field and wish.limits else []),
        *answer,
    ]
    writing = next((c for c in requested if answer and isinstance(c, Budget) and c.final_text), None)
    if writing is not None:
        raise FieldError("controls", f"controls: {writing!r} writes a text before the JSON: add final=None")
    ends = any(control.decides_end for control in requested)
    rules = any(control.rules_answer for control in requested)
    defaults = [c for c in policy.controls if not (c.decides_end and ends) and not (c.rules_answer and rules)]
    if answer:
        defaults = [_without_final(control) for control in defaults]
    controls = _capped([*defaults, *requested], policy.max_thinking_tokens)
    return tuple(_reserving(control, min(ANSWER_RESERVE, limit // 4)) for control in controls)


def _without_final(control: Control) -> Control:
    """The control; of a budget that writes a text after the close, one that does not: the answer is to be JSON."""
    if not isinstance(control, Budget) or not control.final_text:
        return control
    return control_from_json({**control.to_json(), "final": None})


def _capped(controls: Sequence[Control], ceiling: int | None) -> list[Control]:
    """The controls, with a budget of at most `ceiling` thinking tokens."""
    if ceiling is None:
        return [*controls]
    if not any(isinstance(control, Budget) for control in controls):
        if any(control.decides_end for control in controls):
            raise FieldError("controls", f"this server caps thinking at {ceiling} tokens, which needs a budget")
        return [*controls, ThinkBudget(ceiling)]
    return [_under(control, ceiling) if isinstance(control, Budget) else control for control in controls]


def _under(budget: Budget, ceiling: int) -> Control:
    limit = ceiling if budget.max_tokens is None else min(budget.max_tokens, ceiling)
    hold = min(budget.hold, ceiling - limit)
    if (limit, hold) == (budget.max_tokens, budget.hold):
        return budget
    try:
        return control_from_json({**budget.to_json(), "max_tokens": limit, "hold": hold})
    except ValueError as error:
        raise FieldError("controls", f"this server caps thinking at {ceiling} tokens: {error}") from None


def _reserving(control: Control, reserve: int) -> Control:
    """The control; if it is a budget with the default answer reserve, with `reserve` instead."""
    data = control.to_json()
    if not isinstance(control, Budget) or data.get("answer_reserve", ANSWER_RESERVE) != ANSWER_RESERVE:
        return control
    return control_from_json({**data, "answer_reserve": reserve})


def _given_controls(body: RequestBody) -> list[Control]:
    given = body.controls
    try:
        if isinstance(given, str):
            return list(controls_from_text(given))
        return [control_from_json(data) for data in given or ()]
    except RecursionError:
        raise FieldError("controls", "controls: nested too deep") from None
    except (ValueError, TypeError, MissingExtra) as error:
        raise FieldError("controls", f"controls: {error}") from None


def _answer(body: RequestBody) -> list[Control]:
    wanted = body.response_format if isinstance(body, ChatBody) else None
    if wanted is None or wanted.get("type") == "text":
        return []
    schema = {"type": "object"} if wanted.get("type") == "json_object" else _schema(wanted)
    try:
        return [StructuredAnswer(json_schema=schema)]
    except (ValueError, TypeError, MissingExtra) as error:
        raise FieldError("response_format", f"response_format: {error}") from None


def _schema(wanted: dict[str, object]) -> dict[str, object]:
    given = wanted.get("json_schema")
    schema = given.get("schema") if isinstance(given, dict) else None
    if wanted.get("type") != "json_schema" or not isinstance(given, dict) or not isinstance(schema, dict):
        raise FieldError("response_format", "response_format must be text, json_object, or json_schema with a schema")
    if unknown := sorted({*given} - {"name", "description", "schema", "strict"}):
        raise FieldError("response_format", f"response_format.json_schema.{unknown[0]} is not known here")
    return schema
