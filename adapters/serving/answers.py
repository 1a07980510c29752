"""Responses in the format of OpenAI's API, whole or streamed: deltas, choices, usage and errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from thinkpace.adapters.serving.choices import ChoiceBuilder
from thinkpace.adapters.serving.runner import Runner
from thinkpace.errors import MissingExtra

try:
    from fastapi import Request
    from fastapi.responses import JSONResponse
except ModuleNotFoundError as error:
    raise MissingExtra("serving", "serve") from error


LOOK_FOR_CLIENT_S = 0.25  # interval between checks that a client waiting for a whole response is still connected


async def whole(answers: list[ChoiceBuilder], runner: Runner, request: Request, head: dict[str, Any]) -> JSONResponse:
    """The response in one piece; its generation is cancelled if the client disconnects.

    Args:
        answers: the choices.
        runner: generates them.
        request: the client's request.
        head: fields of the body that do not depend on the choices.
    """
    texts: list[dict[str, str]] = [{} for _ in answers]
    try:
        async for i, delta in deltas_of(answers, runner, request):
            for field, text in delta.items():
                texts[i][field] = texts[i].get(field, "") + text
    finally:
        _cancel(answers, runner)
    error = next((answer.ticket.job.error for answer in answers if answer.ticket.job.error is not None), None)
    if error is not None:
        return failure_response(error)
    choices = [choice_body(i, answer, texts[i]) for i, answer in enumerate(answers)]
    return JSONResponse({**head, "choices": choices, "usage": usage_of(answers)})


async def streamed(
    answers: list[ChoiceBuilder], runner: Runner, head: dict[str, Any], *, is_chat: bool, with_usage: bool
) -> AsyncIterator[str]:
    """The response as server-sent events, as it is generated; cancelled when the client stops reading.

    Args:
        answers: the choices.
        runner: generates them.
        head: fields of every event.
        is_chat: whether these are chat completions.
        with_usage: whether the last event before "[DONE]" holds the usage.
    """

    def chunk(i: int, delta: dict[str, str], reason: str | None = None, **more: Any) -> str:
        fields = {"delta": delta} if is_chat else {"text": delta.get("text", "")}
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
                yield chunk(i, {}, answer.finish_reason, receipt=asdict(answer.receipt))
        if with_usage:
            yield sse_event({**head, "choices": [], "usage": usage_of(answers)})
        yield "data: [DONE]\n\n"
    finally:
        _cancel(answers, runner)


def _cancel(answers: list[ChoiceBuilder], runner: Runner) -> None:
    for answer in answers:
        if not answer.ticket.job.done:
            runner.cancel(answer.ticket)


async def deltas_of(
    answers: list[ChoiceBuilder], runner: Runner, request: Request | None = None
) -> AsyncIterator[tuple[int, dict[str, str]]]:
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


def choice_body(i: int, answer: ChoiceBuilder, texts: dict[str, str]) -> dict[str, Any]:
    """One entry of `choices`, with its receipt."""
    rest = {"index": i, "finish_reason": answer.finish_reason, "receipt": asdict(answer.receipt)}
    if not answer.is_chat:
        return {"text": texts.get("text", ""), **rest}
    message = {
        "role": "assistant",
        "content": texts.get("content", ""),
        "reasoning_content": texts.get("reasoning_content"),
    }
    return {"message": message, **rest}


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


def error_response(status: int, message: str, field: str | None, code: str | None = None) -> JSONResponse:
    """An error in the format of OpenAI's API."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse({"error": {"message": message, "type": kind, "param": field, "code": code}}, status)


def failure_response(error: Exception) -> JSONResponse:
    """The response for an error that ended a generation: 400 for controls that conflict, else 500."""
    status = 400 if isinstance(error, ValueError) else 500
    return error_response(status, str(error), "controls" if status == 400 else None)
