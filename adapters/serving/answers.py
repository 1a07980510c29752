"""Responses in the format of OpenAI's API, whole or streamed: deltas, choices, usage and errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from thinkpace.adapters.serving.choices import ChoiceBuilder, Delta
from thinkpace.adapters.serving.runner import Runner
from thinkpace.errors import MissingExtra

try:
    from fastapi import Request
    from fastapi.responses import JSONResponse
except ModuleNotFoundError as error:
    raise MissingExtra("serving", "serve") from error


LOOK_FOR_CLIENT_S = 0.25  # interval between checks that a client waiting for a whole response is still connected

Done = Callable[[list[ChoiceBuilder]], None]  #: called once, when a response has ended


async def whole(
    answers: list[ChoiceBuilder], runner: Runner, request: Request, head: dict[str, Any], done: Done
) -> JSONResponse:
    """The response in one piece; its generation is cancelled if the client disconnects.

    Args:
        answers: the choices.
        runner: generates them.
        request: the client's request.
        head: fields of the body that do not depend on the choices.
        done: called at the end.
    """
    texts: list[dict[str, Any]] = [{} for _ in answers]
    try:
        async for i, delta in deltas_of(answers, runner, request):
            for field, part in delta.items():
                texts[i][field] = texts[i][field] + part if field in texts[i] else part
    finally:
        _cancel(answers, runner)
        done(answers)
    error = next((answer.ticket.job.error for answer in answers if answer.ticket.job.error is not None), None)
    if error is not None:
        return failure_response(error)
    choices = [choice_body(i, answer, texts[i]) for i, answer in enumerate(answers)]
    return JSONResponse({**head, "choices": choices, "usage": usage_of(answers)})


async def streamed(
    answers: list[ChoiceBuilder], runner: Runner, head: dict[str, Any], *, is_chat: bool, with_usage: bool, done: Done
) -> AsyncIterator[str]:
    """The response as server-sent events, as it is generated; cancelled when the client stops reading.

    Args:
        answers: the choices.
        runner: generates them.
        head: fields of every event.
        is_chat: whether these are chat completions.
        with_usage: whether the last event before "[DONE]" holds the usage.
        done: called at the end.
    """

    def chunk(i: int, delta: Delta, reason: str | None = None, **more: Any) -> str:
        entries = delta.pop("logprobs", None)
        fields = {"delta": delta} if is_chat else {"text": delta.get("text", "")}
        fields |= {} if entries is None else {"logprobs": logprobs_body(entries, is_chat)}
        return sse_event({**head, "choices": [{"index": i, **fields, "finish_reason": reason, **more}]})

    try:
        if is_chat:
            for i in range(len(answers)):
                yield chunk(i, {"role": "assistant"})
        async for i, delta in deltas_of(answers, runner):
            yield chunk(i, delta)
        for i, answer in enumerate(answers):
            error = answer.ticket.job.error
            if error is not None:
                yield sse_event(json.loads(bytes(failure_response(error).body)))
            else:
                yield chunk(i, {}, answer.finish_reason, **answer.verdict)
        if with_usage:
            yield sse_event({**head, "choices": [], "usage": usage_of(answers)})
        yield "data: [DONE]\n\n"
    finally:
        _cancel(answers, runner)
        done(answers)


def _cancel(answers: list[ChoiceBuilder], runner: Runner) -> None:
    for answer in answers:
        if not answer.ticket.job.done:
            runner.cancel(answer.ticket)


async def deltas_of(
    answers: list[ChoiceBuilder], runner: Runner, request: Request | None = None
) -> AsyncIterator[tuple[int, Delta]]:
    """Yields (index of the choice, fields of the delta) as they are generated."""
    waiting = {
        asyncio.ensure_future(answer.ticket.queue.get()): (i, answer)  # one wait per choice
        for i, answer in enumerate(answers)
    }
    try:
        while waiting:
            timeout = None if request is None else LOOK_FOR_CLIENT_S
            done, _ = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if request is not None and await request.is_disconnected():
                return
            for future in done:
                i, answer = waiting.pop(future)
                piece = future.result()
                delta = answer.flush() if piece is None else answer.feed(piece)
                if delta:
                    yield i, delta
                if answer.stopped and not answer.ticket.job.done:
                    runner.cancel(answer.ticket)  # wait until it has ended: the counts may still change
                if piece is not None:
                    waiting[asyncio.ensure_future(answer.ticket.queue.get())] = (i, answer)
    finally:
        for future in waiting:
            future.cancel()


def choice_body(i: int, answer: ChoiceBuilder, texts: dict[str, Any]) -> dict[str, Any]:
    """One entry of `choices`, with its receipt."""
    rest: dict[str, Any] = {"index": i, "finish_reason": answer.finish_reason, **answer.verdict}
    if answer.ticket.job.top >= 0:
        rest["logprobs"] = logprobs_body(texts.get("logprobs", []), answer.is_chat)
    if not answer.is_chat:
        return {"text": texts.get("text", ""), **rest}
    message = {
        "role": "assistant",
        "content": texts.get("content", ""),
        "reasoning_content": texts.get("reasoning_content"),
    }
    return {"message": message, **rest}


def logprobs_body(entries: list[dict[str, Any]], is_chat: bool) -> dict[str, Any]:
    """The field `logprobs` of a choice: of the tokens of its text."""
    if is_chat:
        return {"content": entries, "refusal": None}
    return {
        "tokens": [entry["token"] for entry in entries],
        "token_logprobs": [entry["logprob"] for entry in entries],
        "top_logprobs": [{top["token"]: top["logprob"] for top in entry["top_logprobs"]} for entry in entries],
    }


def usage_of(answers: list[ChoiceBuilder]) -> dict[str, Any]:
    """The field `usage` of a response: token counts of all its choices."""
    receipts = [answer.receipt for answer in answers]
    prompt = receipts[0].usage.prompt
    completion = sum(receipt.usage.completion for receipt in receipts)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "completion_tokens_details": {"reasoning_tokens": sum(receipt.thinking_tokens for receipt in receipts)},
    }


def sse_event(data: dict[str, Any]) -> str:
    """A server-sent event."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def error_body(status: int, message: str, field: str | None, code: str | None = None) -> dict[str, Any]:
    """An error in the format of OpenAI's API."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": field, "code": code}}


def error_response(status: int, message: str, field: str | None, code: str | None = None) -> JSONResponse:
    """A response that says what is wrong."""
    return JSONResponse(error_body(status, message, field, code), status)


def failure_response(error: Exception) -> JSONResponse:
    """The response for an error that ended a generation: 400 for controls that conflict, else 500."""
    status = 400 if isinstance(error, ValueError) else 500
    return error_response(status, str(error), "controls" if status == 400 else None)
