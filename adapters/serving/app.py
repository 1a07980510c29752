"""The routes of an OpenAI-compatible server over the llama.cpp engine: chat completions and completions.

    app = make_app(LlamaCppEngine("model.gguf", parallel=8))
    uvicorn.run(app, host="127.0.0.1", port=8080)

Thinking is returned in `reasoning_content`, separate from `content`. Budgets and controls are fields of each request.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine
from thinkpace.adapters.serving.answers import error_response, streamed, whole
from thinkpace.adapters.serving.choices import ChoiceBuilder
from thinkpace.adapters.serving.openai_schema import ChatBody, CompletionBody, FieldError, refusal, requests_of
from thinkpace.adapters.serving.runner import Runner
from thinkpace.engine import Request as Generation
from thinkpace.errors import MissingExtra, UnsupportedControl
from thinkpace.processors.core.control import Control

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


LAST_WORDS_S = 5  # seconds that open connections get to finish after a stop signal


def make_app(engine: LlamaCppEngine, *, controls: Sequence[Control] = (), name: str | None = None) -> FastAPI:
    """The server as an ASGI application.

    Args:
        engine: the engine; nothing else may use it while the application runs.
        controls: default controls; those of a request take precedence (`openai_schema.request_controls`).
        name: model name that clients see; None for the engine's name.

    Raises:
        UnsupportedControl: if the controls cannot work with this model.
    """
    engine.jobs([Generation((0,), tuple(controls), max(1, engine.context_tokens // 2))])  # raises if they cannot work
    runner = Runner(engine)
    name = name or engine.name
    eos, special = engine.vocabulary.eos, engine.vocabulary.special

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        runner.start()
        yield
        await run_in_threadpool(runner.stop)

    app = FastAPI(title="thinkpace", lifespan=life, docs_url=None, redoc_url=None)

    _handle_errors(app)

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
            except UnsupportedControl as error:
                field = "chat_template_kwargs" if error.field == "template_arguments" else "messages"
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
            return error_response(404, f"model: there is only {name!r} here", "model", "model_not_found")
        stops, _ = body.stops, body.include_usage  # invalid fields raise here, before generation
        try:
            jobs = await run_in_threadpool(prepared)
        except (ValueError, TypeError, MissingExtra) as error:
            raise refusal(error, body) from None
        answers = [ChoiceBuilder(ticket, stops, hidden, isinstance(body, ChatBody)) for ticket in runner.submit(jobs)]
        head = {"id": f"{kind.split('.')[0]}-{secrets.token_hex(12)}", "created": int(time.time()), "model": name}
        if body.stream:
            is_chat = isinstance(body, ChatBody)
            head |= {"object": kind + ".chunk" if is_chat else kind}
            events = streamed(answers, runner, head, is_chat=is_chat, with_usage=body.include_usage)
            return StreamingResponse(events, media_type="text/event-stream")
        return await whole(answers, runner, request, {**head, "object": kind})

    return app


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
        return error_response(400, f"{path[0]}: {message}", path[0])

    @app.exception_handler(HTTPException)
    async def refused_early(_request: Request, error: HTTPException) -> JSONResponse:
        return error_response(error.status_code, str(error.detail), None)


def run_app(app: FastAPI, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Args:
        app: the application, from `make_app`.
        host: address to listen on.
        port: port to listen on; 0 for any free one.
        ready: called with the URL once the server listens.

    Raises:
        OSError: if the server cannot listen on this address.
    """
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        message = f"cannot listen on {host} port {port} ({error.strerror}): choose another --host or --port"
        raise OSError(message) from None
    config = uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=LAST_WORDS_S)
    server = uvicorn.Server(config)
    ready(f"http://{host}:{listener.getsockname()[1]}")
    server.run(sockets=[listener])
