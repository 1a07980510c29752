"""What a client is told: deltas, choices, usage and errors in the fields of OpenAI's protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Any, Literal

from thinkpace.adapters.llama_cpp.stream import Piece
from thinkpace.adapters.serving.runner import ClientRequest, Runner
from thinkpace.errors import MissingExtra
from thinkpace.types import Receipt

try:
    from fastapi import Request
    from fastapi.responses import JSONResponse
except ModuleNotFoundError as error:
    raise MissingExtra("serving", "serve") from error


LOOK_FOR_CLIENT_S = 0.25  # how often a client that waits for the whole is looked for


class ChoiceBuilder:
    """What one choice has said so far, as the protocol's fields.

    Args:
        ticket: of its job.
        stops: texts that end it.
        special: ids that are no part of any text.
        is_chat: whether thinking is told apart.
    """

    def __init__(self, ticket: ClientRequest, stops: Sequence[str], special: frozenset[int], is_chat: bool) -> None:
        self.ticket = ticket
        self.is_chat = is_chat
        self._stops = stops
        self._special = special
        self._held = ""  # the end of the text, which may begin a stop
        self._taken = 0  # tokens, up to the stop
        self.stopped = False

    def feed(self, piece: Piece) -> dict[str, str]:
        """The fields of a delta; empty if nothing is to be said."""
        if self.stopped:
            return {}
        self._taken += len(piece.tokens)
        if all(token in self._special for token in piece.tokens):
            return {}
        if self.is_chat and piece.kind in ("thinking", "injected"):
            return {"reasoning_content": piece.text} if piece.text else {}
        if self.is_chat and not piece.answers:
            return {}
        return self._said(piece.text)

    def flush(self) -> dict[str, str]:
        """What was held back, now that no stop can come of it."""
        held, self._held = self._held, ""
        return {} if self.stopped else self._field(held)

    def _said(self, text: str) -> dict[str, str]:
        text = self._held + text
        places = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if places:
            self._held, self.stopped = "", True
            return self._field(text[: min(places)])
        begun = max((_begun(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - begun :]
        return self._field(text[: len(text) - begun])

    def _field(self, text: str) -> dict[str, str]:
        return {("content" if self.is_chat else "text"): text} if text else {}

    @property
    def receipt(self) -> Receipt:
        """Of what was said: tokens that came after the stop, before it was seen, are no part of it."""
        log = self.ticket.job.log
        if self.stopped:
            log = log.fork()
            log.rewind(self._taken)
        return log.receipt()

    @property
    def finish_reason(self) -> Literal["stop", "length"]:
        """Why it ended."""
        return "stop" if self.stopped or self.ticket.job.log.ended else "length"


def _begun(text: str, stop: str) -> int:
    """How much of the beginning of `stop` the text ends with."""
    return next((k for k in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:k])), 0)


async def deltas_of(
    answers: list[ChoiceBuilder], runner: Runner, request: Request | None = None
) -> AsyncIterator[tuple[int, dict[str, str]]]:
    """The deltas of all choices as they come: (choice, fields)."""
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
                    runner.cancel(answer.ticket)  # its end is waited for: until then the counts may change
                if piece is not None:
                    waiting[asyncio.ensure_future(answer.ticket.queue.get())] = (i, answer)
    finally:
        for future in waiting:
            future.cancel()


def choice_body(i: int, answer: ChoiceBuilder, said: dict[str, str]) -> dict[str, Any]:
    """One entry of `choices`, with its receipt."""
    rest = {"index": i, "finish_reason": answer.finish_reason, "receipt": asdict(answer.receipt)}
    if not answer.is_chat:
        return {"text": said.get("text", ""), **rest}
    message = {
        "role": "assistant",
        "content": said.get("content", ""),
        "reasoning_content": said.get("reasoning_content"),
    }
    return {"message": message, **rest}


def usage_of(answers: list[ChoiceBuilder]) -> dict[str, Any]:
    """The field `usage` of an answer: tokens of all its choices."""
    receipts = [answer.receipt for answer in answers]
    prompt = receipts[0].usage.prompt
    made = sum(receipt.usage.completion for receipt in receipts)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": made,
        "total_tokens": prompt + made,
        "completion_tokens_details": {"reasoning_tokens": sum(receipt.thinking_tokens for receipt in receipts)},
    }


def sse_event(data: dict[str, Any]) -> str:
    """A server-sent event."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def error_response(status: int, message: str, field: str | None, code: str | None = None) -> JSONResponse:
    """An error in the form of OpenAI's API."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse({"error": {"message": message, "type": kind, "param": field, "code": code}}, status)


def failure_response(error: Exception) -> JSONResponse:
    """What ended a generation: a conflict of controls is the client's to mend, all else is ours."""
    status = 400 if isinstance(error, ValueError) else 500
    return error_response(status, str(error), "controls" if status == 400 else None)
