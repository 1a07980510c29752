"""The routes of an OpenAI-compatible server over the llama.cpp engine: chat completions and completions.

    app = make_app(LlamaCppEngine("model.gguf", parallel=8))
    uvicorn.run(app, host="127.0.0.1", port=8080)

Thinking is returned in `reasoning_content`, separate from `content`. Budgets and controls are fields of each request.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine
from thinkpace.adapters.serving.answers import error_response, streamed, whole
from thinkpace.adapters.serving.choices import ChoiceBuilder
from thinkpace.adapters.serving.field_error import FieldError
from thinkpace.adapters.serving.gate import Access, Gate
from thinkpace.adapters.serving.metrics import Metrics
from thinkpace.adapters.serving.openai_schema import ELSEWHERE, ChatBody, CompletionBody, RequestBody
from thinkpace.adapters.serving.request_controls import Policy, check_policy
from thinkpace.adapters.serving.request_log import TOLD, Form, RequestLog
from thinkpace.adapters.serving.requests import jobs_of, refusal
from thinkpace.adapters.serving.runner import Runner
from thinkpace.engine import Request as Generation
from thinkpace.errors import MissingExtra
from thinkpace.processors.core.control import Control

try:
    from fastapi import FastAPI, Request, Response
    from fastapi.concurrency import run_in_threadpool
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse, StreamingResponse
    from starlette.exceptions import HTTPException
except ModuleNotFoundError as error:
    raise MissingExtra("serving", "serve") from error


def make_app(
    engine: LlamaCppEngine,
    *,
    controls: Sequence[Control] = (),
    name: str | None = None,
    max_thinking_tokens: int | None = None,
    access: Access = Access(),  # noqa: B008  # frozen
    log: Form = "none",
) -> FastAPI:
    """The server as an ASGI application.

    Args:
        engine: the engine; nothing else may use it while the application runs.
        controls: default controls; those of a request take precedence (`request_controls`).
        name: model name that clients see; None for the engine's name.
        max_thinking_tokens: maximum of thinking tokens of every request, whatever it asks for; None for no ceiling.
        access: API keys, hosts, origins, and the size of bodies.
        log: one line per request on stderr: "text", "json" or "none".

    Raises:
        UnsupportedControl: if the controls cannot work with this model.
        ValueError: for a negative ceiling.
    """
    if max_thinking_tokens is not None and max_thinking_tokens < 0:
        raise ValueError(f"max_thinking_tokens must be >= 0, got {max_thinking_tokens}")
    check_policy(policy := Policy(tuple(controls), max_thinking_tokens))
    engine.jobs([Generation((0,), tuple(controls), max(1, engine.context_tokens // 2))])  # raises if they cannot work
    runner, name = Runner(engine), name or engine.name
    metrics, eos, special = Metrics(runner), engine.vocabulary.eos, engine.vocabulary.special

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        runner.start()
        yield
        await run_in_threadpool(runner.stop)

    app = FastAPI(title="thinkpace", lifespan=life, docs_url=None, redoc_url=None)
    app.state.runner, app.state.stopping = runner, False
    _handle_errors(app)
    app.add_middleware(Gate, access=access, stopping=lambda: bool(app.state.stopping))
    paths = frozenset(("/v1/chat/completions", "/v1/completions", "/v1/models"))
    app.add_middleware(RequestLog, metrics=metrics, form=log, paths=paths)
    card = {"id": name, "object": "model", "created": 0, "owned_by": "thinkpace"}

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "stopping" if app.state.stopping else "ok", "sequences": runner.under_way}

    @app.get("/metrics")
    async def counted() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [card]}

    @app.get("/v1/models/{asked:path}", response_model=None)
    async def model(asked: str) -> dict[str, Any] | JSONResponse:
        return card if asked == name else _no_model(name)

    @app.post("/v1/responses", response_model=None)
    async def responses() -> JSONResponse:
        return error_response(404, f"there is no /v1/responses here: {ELSEWHERE}", None)

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(body: ChatBody, request: Request) -> JSONResponse | StreamingResponse:
        return await answered(body, request, special, "chat.completion")

    @app.post("/v1/completions", response_model=None)
    async def complete(body: CompletionBody, request: Request) -> JSONResponse | StreamingResponse:
        return await answered(body, request, eos, "text_completion")

    async def answered(
        body: RequestBody, request: Request, hidden: frozenset[int], kind: str
    ) -> JSONResponse | StreamingResponse:
        if body.model is not None and body.model != name:
            return _no_model(name)
        try:
            jobs = await run_in_threadpool(jobs_of, body, engine, policy)
        except (ValueError, TypeError, MissingExtra) as error:
            raise refusal(error, body) from None
        is_chat = isinstance(body, ChatBody)
        tickets = runner.submit(jobs)
        answers = [ChoiceBuilder(ticket, body.stops, hidden, is_chat, engine.vocabulary) for ticket in tickets]
        head = {"id": f"{kind.split('.')[0]}-{secrets.token_hex(12)}", "created": int(time.time()), "model": name}

        def done(finished: list[ChoiceBuilder]) -> None:
            metrics.generated(finished)
            request.scope[TOLD] = {"id": head["id"], **_told(finished)}

        if body.stream:
            head |= {"object": kind + ".chunk" if is_chat else kind}
            events = streamed(answers, runner, head, is_chat=is_chat, with_usage=body.include_usage, done=done)
            return StreamingResponse(events, media_type="text/event-stream")
        return await whole(answers, runner, request, {**head, "object": kind}, done)

    return app


def _told(answers: list[ChoiceBuilder]) -> dict[str, Any]:
    """What the log says of a generation."""
    receipts = [answer.receipt for answer in answers]
    times = answers[0].ticket.job.times
    return {
        "prompt_tokens": receipts[0].usage.prompt,
        "thinking_tokens": sum(receipt.thinking_tokens for receipt in receipts),
        "completion_tokens": sum(receipt.usage.completion for receipt in receipts),
        "end": "/".join(receipt.end for receipt in receipts),
        "finish_reason": "/".join(answer.finish_reason for answer in answers),
        "controls": "/".join(receipt.held for receipt in receipts),
        "first_token_s": round(times[0], 3) if times else None,
    }


def _no_model(name: str) -> JSONResponse:
    return error_response(404, f"model: there is only {name!r} here", "model", "model_not_found")


def _handle_errors(app: FastAPI) -> None:
    """Return errors in the format of OpenAI's API, with the name of the wrong field."""

    @app.exception_handler(FieldError)
    async def refused(_request: Request, error: FieldError) -> JSONResponse:
        return error_response(400, str(error), error.field, error.code)

    @app.exception_handler(RequestValidationError)
    async def malformed(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        path = [str(part) for part in first["loc"] if part != "body"]
        if first["type"] == "json_invalid" or not path:
            return error_response(
                400, "the body is not a JSON object, or its content type is not application/json", None
            )
        message = "is not known here" if first["type"] == "extra_forbidden" else first["msg"]
        return error_response(400, f"{'.'.join(path)}: {message}", path[0])

    @app.exception_handler(HTTPException)
    async def refused_early(_request: Request, error: HTTPException) -> JSONResponse:
        return error_response(error.status_code, str(error.detail), None)
