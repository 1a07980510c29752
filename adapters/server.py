"""An OpenAI-compatible server over the llama.cpp engine: chat completions and completions, streamed or whole.

    app = make_app(LlamaCppEngine("model.gguf", parallel=8))
    uvicorn.run(app, host="127.0.0.1", port=8080)

Thinking comes as `reasoning_content`, apart from `content`; budgets and controls are fields of each request.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, Literal

from thinkpace.adapters._serving import Runner, Ticket
from thinkpace.adapters.llama_cpp_engine import LlamaCppEngine, Piece
from thinkpace.adapters.openai_protocol import ChatBody, CompletionBody, FieldError, refusal, requests_of
from thinkpace.errors import MissingExtra
from thinkpace.processors.base import Control
from thinkpace.processors.request import Request as Generation
from thinkpace.types import Receipt

try:
    import uvicorn
    from fastapi import FastAPI, Request
    from fastapi.concurrency import run_in_threadpool
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse, StreamingResponse
    from starlette.exceptions import HTTPException
except ModuleNotFoundError as error:
    raise MissingExtra("serving", "serve") from error

Body = ChatBody | CompletionBody
LAST_WORDS_S = 5  # after a signal, those who still listen have so long
LOOK_FOR_CLIENT_S = 0.25  # how often a client that waits for the whole is looked for


class Answer:
    """What one choice has said so far, as the protocol's fields.

    Args:
        ticket: of its job.
        stops: texts that end it.
        special: ids that are no part of any text.
        is_chat: whether thinking is told apart.
    """

    def __init__(self, ticket: Ticket, stops: Sequence[str], special: frozenset[int], is_chat: bool) -> None:
        self.ticket = ticket
        self.is_chat = is_chat
        self._stops = stops
        self._special = special
        self._held = ""  # the end of the text, which may begin a stop
        self._taken = 0  # tokens, up to the stop
        self.stopped = False

    def take(self, piece: Piece) -> dict[str, str]:
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

    def rest(self) -> dict[str, str]:
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


def make_app(engine: LlamaCppEngine, *, controls: Sequence[Control] = (), name: str | None = None) -> FastAPI:
    """The server as an ASGI application.

    Args:
        engine: used by nobody else while the application runs.
        controls: what holds for requests that do not say otherwise.
        name: of the model, as clients see it. Default: the engine's.

    Raises:
        UnsupportedControl: if the controls cannot work with this model.
    """
    engine.jobs(
        [Generation((0,), tuple(controls), max(1, engine.context_tokens // 2))]
    )  # shows what is wrong with them
    runner = Runner(engine)
    name = name or engine.name
    eos, special = engine.vocabulary.eos, engine.vocabulary.special

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        runner.start()
        yield
        await run_in_threadpool(runner.stop)

    app = FastAPI(title="thinkpace", lifespan=life, docs_url=None, redoc_url=None)

    @app.exception_handler(FieldError)
    async def refused(_request: Request, error: FieldError) -> JSONResponse:
        return _error(400, str(error), error.field, error.code)

    @app.exception_handler(RequestValidationError)
    async def malformed(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        path = [str(part) for part in first["loc"] if part != "body"]
        if first["type"] == "json_invalid" or not path:
            return _error(400, "the body is no JSON object, or its content type is not application/json", None)
        says = "is not known here" if first["type"] == "extra_forbidden" else first["msg"]
        return _error(400, f"{path[0]}: {says}", path[0])

    @app.exception_handler(HTTPException)
    async def refused_early(_request: Request, error: HTTPException) -> JSONResponse:
        return _error(error.status_code, str(error.detail), None)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "sequences": runner.under_way}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "thinkpace"}]}

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(body: ChatBody, request: Request) -> JSONResponse | StreamingResponse:
        def prepared() -> Any:
            try:
                prompt = engine.chat(body.plain_messages(), body.chat_template_kwargs)
            except FieldError:
                raise
            except ValueError as error:
                field = "chat_template_kwargs" if "argument" in str(error) else "messages"
                raise FieldError(field, str(error)) from None
            return engine.jobs(requests_of(body, prompt, controls, engine.context_tokens))

        return await answered(body, request, prepared, special, "chat.completion")

    @app.post("/v1/completions", response_model=None)
    async def complete(body: CompletionBody, request: Request) -> JSONResponse | StreamingResponse:
        def prepared() -> Any:
            try:
                prompt = engine.text_prompt(body.prompt) if isinstance(body.prompt, str) else tuple(body.prompt)
            except ValueError as error:
                raise FieldError("prompt", f"prompt: {error}") from None
            if any(not 0 <= token < engine.vocabulary.size for token in prompt):
                raise FieldError("prompt", "prompt holds ids that this vocabulary does not have")
            return engine.jobs(requests_of(body, prompt, controls, engine.context_tokens))

        return await answered(body, request, prepared, eos, "text_completion")

    async def answered(
        body: Body, request: Request, prepared: Any, hidden: frozenset[int], kind: str
    ) -> JSONResponse | StreamingResponse:
        if body.model is not None and body.model != name:
            return _error(404, f"model: there is only {name!r} here", "model", "model_not_found")
        stops, _ = body.stops, body.include_usage  # what is wrong with them shows before anything is generated
        try:
            jobs = await run_in_threadpool(prepared)
        except (ValueError, TypeError, MissingExtra) as error:
            raise refusal(error, body) from None
        answers = [Answer(ticket, stops, hidden, isinstance(body, ChatBody)) for ticket in runner.submit(jobs)]
        head = {"id": f"{kind.split('.')[0]}-{secrets.token_hex(12)}", "created": int(time.time()), "model": name}
        if body.stream:
            parts = streamed(answers, body, {**head, "object": kind + (".chunk" if kind.startswith("chat") else "")})
            return StreamingResponse(parts, media_type="text/event-stream")
        return await whole(answers, request, {**head, "object": kind})

    async def whole(answers: list[Answer], request: Request, head: dict[str, Any]) -> JSONResponse:
        said: list[dict[str, str]] = [{} for _ in answers]
        try:
            async for i, delta in _together(answers, runner, request):
                for field, text in delta.items():
                    said[i][field] = said[i].get(field, "") + text
        finally:
            for answer in answers:
                if not answer.ticket.job.done:
                    runner.give_up(answer.ticket)
        failed = next((answer.ticket.job.error for answer in answers if answer.ticket.job.error is not None), None)
        if failed is not None:
            return _failure(failed)
        choices = [_choice(i, answer, said[i]) for i, answer in enumerate(answers)]
        return JSONResponse({**head, "choices": choices, "usage": _usage(answers)})

    async def streamed(answers: list[Answer], body: Body, head: dict[str, Any]) -> AsyncIterator[str]:
        is_chat, usage_wanted = isinstance(body, ChatBody), body.include_usage

        def chunk(i: int, delta: dict[str, str], reason: str | None = None, **more: Any) -> str:
            fields = {"delta": delta} if is_chat else {"text": delta.get("text", "")}
            return _event({**head, "choices": [{"index": i, **fields, "finish_reason": reason, **more}]})

        try:
            if is_chat:
                for i in range(len(answers)):
                    yield chunk(i, {"role": "assistant"})
            async for i, delta in _together(answers, runner):
                yield chunk(i, delta)
            for i, answer in enumerate(answers):
                failed = answer.ticket.job.error
                if failed is not None:
                    yield _event(json.loads(bytes(_failure(failed).body)))
                else:
                    yield chunk(i, {}, answer.finish_reason, receipt=asdict(answer.receipt))
            if usage_wanted:
                yield _event({**head, "choices": [], "usage": _usage(answers)})
            yield "data: [DONE]\n\n"
        finally:
            for answer in answers:
                if not answer.ticket.job.done:
                    runner.give_up(answer.ticket)

    return app


def run_app(app: FastAPI, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Args:
        app: from `make_app`.
        host: to listen on.
        port: 0 for any that is free.
        ready: called with the address once it listens.

    Raises:
        OSError: if the address cannot be listened on.
    """
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        says = f"cannot listen on {host} port {port} ({error.strerror}): choose another --host or --port"
        raise OSError(says) from None
    config = uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=LAST_WORDS_S)
    server = uvicorn.Server(config)
    ready(f"http://{host}:{listener.getsockname()[1]}")
    server.run(sockets=[listener])


async def _together(
    answers: list[Answer], runner: Runner, request: Request | None = None
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
                delta = answer.rest() if piece is None else answer.take(piece)
                if delta:
                    yield i, delta
                if answer.stopped and not answer.ticket.job.done:
                    runner.give_up(answer.ticket)  # its end is waited for: until then the counts may change
                if piece is not None:
                    waiting[asyncio.ensure_future(answer.ticket.queue.get())] = (i, answer)
    finally:
        for future in waiting:
            future.cancel()


def _choice(i: int, answer: Answer, said: dict[str, str]) -> dict[str, Any]:
    rest = {"index": i, "finish_reason": answer.finish_reason, "receipt": asdict(answer.receipt)}
    if not answer.is_chat:
        return {"text": said.get("text", ""), **rest}
    message = {
        "role": "assistant",
        "content": said.get("content", ""),
        "reasoning_content": said.get("reasoning_content"),
    }
    return {"message": message, **rest}


def _usage(answers: list[Answer]) -> dict[str, Any]:
    receipts = [answer.receipt for answer in answers]
    prompt = receipts[0].usage.prompt
    made = sum(receipt.usage.completion for receipt in receipts)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": made,
        "total_tokens": prompt + made,
        "completion_tokens_details": {"reasoning_tokens": sum(receipt.thinking_tokens for receipt in receipts)},
    }


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def _error(status: int, message: str, field: str | None, code: str | None = None) -> JSONResponse:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse({"error": {"message": message, "type": kind, "param": field, "code": code}}, status)


def _failure(error: Exception) -> JSONResponse:
    """What ended a generation: a conflict of controls is the client's to mend, all else is ours."""
    status = 400 if isinstance(error, ValueError) else 500
    return _error(status, str(error), "controls" if status == 400 else None)
