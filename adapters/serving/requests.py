"""From a request body to requests of the engine, and from the engine's refusals to the field at fault."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from thinkpace.adapters.llama_cpp.adjustment import Adjustment
from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine
from thinkpace.adapters.llama_cpp.loop import Job
from thinkpace.adapters.serving.field_error import FieldError
from thinkpace.adapters.serving.openai_schema import ChatBody, CompletionBody, RequestBody
from thinkpace.adapters.serving.request_controls import Policy, request_controls
from thinkpace.adapters.serving.thinking_fields import Wish, wish_of
from thinkpace.engine import Request, Sampling
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.budgeting.budget import ALIASES
from thinkpace.processors.core.control import Control
from thinkpace.processors.text.chat_template import names_argument
from thinkpace.processors.text.vocabulary import TokenIds


def jobs_of(body: RequestBody, engine: LlamaCppEngine, policy: Policy) -> list[Job]:
    """The jobs of a request, one per choice; all checks of the request happen here.

    Raises:
        FieldError: if a field is wrong.
        MissingExtra: if a control needs a package that is not installed.
    """
    top = body.top
    _, _ = body.stops, body.include_usage  # invalid fields raise here
    if isinstance(body, ChatBody):
        body.refuse_tools()
    wish = wish_of(body, engine.chat_template)
    prompt = _chat_prompt(body, wish, engine) if isinstance(body, ChatBody) else _text_prompt(body, engine)
    requests = _requests(body, prompt, wish, policy, engine.context_tokens)
    if isinstance(body, ChatBody):
        _check_begun(body, requests[0].controls, engine)
    jobs = engine.jobs(requests)
    bias, presence, frequency = body.bias(engine.vocabulary.size), body.presence_penalty, body.frequency_penalty
    for job in jobs:
        job.top = top
        if bias or presence or frequency:
            job.adjustment = Adjustment(bias, presence or 0.0, frequency or 0.0)
    return jobs


def _chat_prompt(body: ChatBody, wish: Wish, engine: LlamaCppEngine) -> TokenIds:
    template = engine.chat_template or ""
    switches = {name: value for name, value in wish.template_arguments.items() if names_argument(template, name)}
    thinks = any(marker.strip() in template for marker in (engine.markers.open, engine.markers.close))
    if wish.field and not wish.limits and not switches and not thinks:
        raise FieldError(
            wish.field.partition(".")[0],
            f"{wish.field}: the chat template of this model knows no thinking, and nothing would turn it on: leave it "
            "out, or open thinking with a last message of the assistant",
        )
    body.check_messages(template)
    arguments = {**switches, **(body.chat_template_kwargs or {})}
    try:
        return engine.chat(body.plain_messages(), arguments, continues=body.continues)
    except UnsupportedControl as error:
        if error.field == "prompt":
            raise FieldError("messages", str(error), "context_length_exceeded") from None
        field = "chat_template_kwargs" if error.field == "template_arguments" else "messages"
        raise FieldError(field, str(error)) from None
    except UnicodeError:
        raise FieldError("messages", "messages hold half a character (a lone surrogate)") from None


def _check_begun(body: ChatBody, controls: Sequence[Control], engine: LlamaCppEngine) -> None:
    """Refuse to constrain an answer that the last message has begun: all of it would have to come again."""
    ruling = next((control for control in controls if control.rules_answer), None)
    if body.continues and ruling is not None and engine.markers.answer_begun(body.plain_messages()[-1]["content"]):
        raise FieldError(
            "messages",
            f"the last message begins the answer, and {ruling!r} would have all of it come again: leave one out",
        )


def _text_prompt(body: RequestBody, engine: LlamaCppEngine) -> TokenIds:
    assert isinstance(body, CompletionBody)
    try:
        prompt = engine.text_prompt(body.prompt) if isinstance(body.prompt, str) else tuple(body.prompt)
    except UnsupportedControl as error:
        raise FieldError("prompt", str(error), "context_length_exceeded") from None
    except ValueError as error:
        raise FieldError("prompt", f"prompt: {error}") from None
    if any(not 0 <= token < engine.vocabulary.size for token in prompt):
        raise FieldError("prompt", "prompt holds ids that this vocabulary does not have")
    return prompt


def _requests(
    body: RequestBody, prompt: TokenIds, wish: Wish, policy: Policy, context_tokens: int
) -> Sequence[Request]:
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
    controls = request_controls(body, wish, policy, limit)
    seed = secrets.randbits(31) if body.seed is None else body.seed
    given = {name: getattr(body, name) for name in ("temperature", "top_p", "top_k", "min_p")}
    sampling = Sampling(**{name: value for name, value in given.items() if value is not None})
    return [Request(prompt, controls, limit, sampling, seed + i) for i in range(body.n or 1)]


def refusal(error: Exception, body: RequestBody) -> FieldError:
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
    asking = ("controls", "response_format", *ALIASES, "reasoning", "thinking")
    sent = [field for field in asking if getattr(body, field, None) is not None]
    return FieldError(sent[0] if sent else "controls", str(error))
