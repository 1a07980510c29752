"""For `vllm serve`: receipts in the answers, and controls that cannot work here as 400s.

    vllm serve MODEL --logits-processors thinkpace.adapters.vllm:ThinkpaceLogitsProcessor \\
        --middleware thinkpace.adapters.vllm_middleware.ReceiptMiddleware

Every choice of an answer to a request with `vllm_xargs.thinkpace` gets a field `receipt`; in a stream, the chunk that
holds its `finish_reason`. With `return_token_ids` it gets `notes` too, from which a client can replay the tokens.
Requests without controls are passed on as they are.

With `--additional-config '{"thinkpace": {"native_caps": true}}'` and a reasoning config, a completion from token ids
under a plain `ThinkBudget(n)` is left to vLLM's own budget where that writes the same, and its receipt says so.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict, replace
from typing import Any

from thinkpace.adapters.vllm.native_budget import native_cap
from thinkpace.adapters.vllm.notes import WorkerNotes, close_notes, of, open_notes, read_notes
from thinkpace.adapters.vllm.served_model import ServedModel, replayed
from thinkpace.adapters.vllm.terms import KEY, WireRequest, terms_from
from thinkpace.engine import Request
from thinkpace.errors import UnsupportedControl

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

PATHS = ("/v1/chat/completions", "/v1/completions")  # others' answers show no ids to replay
#: fields that change nothing about which tokens a budget sees
_PLAIN = {
    *("model", "prompt", "max_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "n", "stop", "user"),
    *("stream", "stream_options", "logprobs", "return_token_ids", "vllm_xargs"),
}
_FIELD = f"vllm_xargs.{KEY}"
_log = logging.getLogger("thinkpace")


class ReceiptMiddleware:
    """ASGI middleware of vLLM's server.

    Args:
        app: what answers.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._model: ServedModel | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "POST" or not _is_json(scope):
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        asked = _controlled(body)
        if asked is None:
            await self._app(scope, _again(body, receive), send)
            return
        config = scope["app"].state.vllm_config
        try:
            terms = await asyncio.to_thread(self._understood, config, asked)
        except (ValueError, UnsupportedControl) as error:
            await _refuse(send, str(error))
            return
        if not scope["path"].endswith(PATHS):
            await self._app(scope, _again(body, receive), send)
            return
        shows = bool(asked.get("return_token_ids"))
        asked["return_token_ids"] = True
        assert self._model is not None  # a request was understood
        cap = self._native_cap(scope["path"], asked, terms)
        terms = replace(terms, receipt=open_notes(), has_siblings=_has_siblings(asked))
        try:
            if cap is None:
                asked["vllm_xargs"] = asked["vllm_xargs"] | {KEY: terms.text()}
            else:
                asked["vllm_xargs"] = {name: value for name, value in asked["vllm_xargs"].items() if name != KEY}
                asked["thinking_token_budget"] = cap
            limit = None if cap is None else asked["max_tokens"]
            answer = _Answer(send, _Writer(self._model, terms, shows, limit))
            changed = json.dumps(asked).encode()
            headers = [(name, value) for name, value in scope["headers"] if name.lower() != b"content-length"]
            scope = {**scope, "headers": [*headers, (b"content-length", str(len(changed)).encode())]}
            await self._app(scope, _again(changed, receive), answer.send)
        finally:
            close_notes(terms.receipt)

    def _understood(self, config: Any, asked: dict[str, Any]) -> WireRequest:
        """The terms of a request, compiled once to see that they work."""
        if self._model is None:
            self._model = ServedModel.of(config)
        terms = terms_from(asked["vllm_xargs"])
        assert terms is not None  # the field is there
        if asked.get("use_beam_search"):
            raise ValueError("use_beam_search ignores logits processors, and so all controls: leave one of them out")
        if asked.get("echo") and not asked.get("return_token_ids"):
            raise ValueError("echo shows no prompt beside receipts: leave it out, or ask for return_token_ids")
        limits = [asked[name] for name in ("max_completion_tokens", "max_tokens") if asked.get(name) is not None]
        limit = terms.continued + limits[0] if limits and type(limits[0]) is int and limits[0] >= 1 else None
        try:
            self._model.program(WireRequest(terms.controls, terms.markers), limit)
        except (ValueError, UnsupportedControl) as error:
            raise ValueError(f"{KEY}.controls: {error}") from None
        return terms

    def _native_cap(self, path: str, asked: dict[str, Any], terms: WireRequest) -> int | None:
        """What to ask vLLM's own budget for; None where it would not do the same, or that cannot be told."""
        prompt, limit = asked.get("prompt"), asked.get("max_tokens")
        ids = isinstance(prompt, list) and bool(prompt) and all(type(token) is int for token in prompt)
        if set(asked) - _PLAIN or type(limit) is not int or limit < 1:  # others are for vLLM, or our class, to refuse
            return None
        native = self._model.native if self._model else None
        if native is None or self._model is None or not path.endswith("/v1/completions") or not ids or terms.continued:
            return None
        request = Request(tuple(asked["prompt"]), terms.controls, limit)
        return native_cap(request, self._model.program(WireRequest(terms.controls, terms.markers), limit), *native)


class _Writer:
    """Makes receipts for the choices of one answer.

    Args:
        model: that is served.
        terms: of the request.
        shows: whether the client asked for ids.
        native: the request's limit where vLLM's own budget holds the cap; else None.
    """

    def __init__(self, model: ServedModel, terms: WireRequest, shows: bool, native: int | None) -> None:
        self._model = model
        self._terms = terms
        self._shows = shows
        self._native = native

    async def finish(self, choice: dict[str, Any], prompt: list[int] | None, tokens: list[int] | None) -> int | None:
        """As `_finish`, beside the event loop."""
        return await asyncio.to_thread(self._finish, choice, prompt, tokens)

    def _finish(self, choice: dict[str, Any], prompt: list[int] | None, tokens: list[int] | None) -> int | None:
        """Add the receipt to a choice that is complete.

        Args:
            choice: changed in place.
            prompt: its ids; None if vLLM does not show them.
            tokens: those of the output.

        Returns:
            Its thinking tokens; None where that cannot be told.

        Raises:
            UnsupportedControl: if the controls could not go on.
        """
        choice["receipt"] = None
        if prompt is None or tokens is None:  # include_reasoning=false hides them
            return None
        notes = read_notes(self._terms.receipt)
        failed = next((noted.error for noted in notes if noted.error is not None), None)
        if failed is not None:
            raise UnsupportedControl(failed)
        declined = next((noted for noted in notes if noted.declined is not None), None)
        if declined is not None:
            _log.warning("%s", declined.declined)
            return None
        length = len(prompt) - self._terms.continued
        tokens = [*prompt[length:], *tokens]
        noted = of(notes, prompt, tokens) if self._native is None else WorkerNotes(max_tokens=self._native)
        if noted is None:
            _log.error("the workers left no notes: are they without our logits processor, or on another machine?")
            return None
        program = self._model.program(WireRequest(self._terms.controls, self._terms.markers), noted.max_tokens)
        history = noted.history(tokens)
        history = replace(history, drawn={**dict(self._terms.drawn), **history.drawn})
        receipt = replayed(program, prompt[:length], tokens, history).receipt()
        choice["receipt"] = asdict(receipt if self._native is None else replace(receipt, enforced_by="vLLM"))
        if self._shows:
            choice["notes"] = noted.to_json()
        return receipt.thinking_tokens

    def hide(self, data: dict[str, Any]) -> None:
        """Take out what the client has not asked for."""
        for part in () if self._shows else (data, *data.get("choices", ())):
            for name in ("token_ids", "prompt_token_ids"):
                part.pop(name, None)


class _Answer:
    """Passes an answer on, with receipts."""

    def __init__(self, send: Send, writer: _Writer) -> None:
        self._send = send
        self._writer = writer
        self._start: Message | None = None
        self._streams = False
        self._held = b""
        self._prompt: dict[int, list[int]] = {}
        self._tokens: dict[int, list[int]] = {}
        self._thinking: list[int | None] = []

    async def send(self, message: Message) -> None:
        """What the server sends."""
        if message["type"] == "http.response.start":
            self._start = message
            kinds = [value for name, value in message["headers"] if name.lower() == b"content-type"]
            self._streams = bool(kinds) and kinds[0].startswith(b"text/event-stream")
            if self._streams:
                await self._send(message)
            return
        if message["type"] != "http.response.body" or self._start is None:
            await self._send(message)
            return
        self._held += message.get("body", b"")
        more = message.get("more_body", False)
        if self._streams:
            *whole, self._held = self._held.split(b"\n\n")
            out = b"".join([await self._event(event) + b"\n\n" for event in whole])
            if not more:
                out, self._held = out + self._held, b""
            await self._send({**message, "body": out})
        elif not more:
            await self._whole()

    async def _whole(self) -> None:
        assert self._start is not None
        body, start = self._held, self._start
        if start["status"] == 200:
            data = json.loads(body)
            choices = data.get("choices", []) if isinstance(data, dict) else []  # null for a client that has gone
            try:
                thinking = [
                    await self._writer.finish(choice, _prompt_of(choice, data), choice.get("token_ids"))
                    for choice in choices
                ]
            except UnsupportedControl as error:
                await _refuse(self._send, f"{KEY}.controls: {error}")
                return
            if choices:
                _count(data, thinking)
                self._writer.hide(data)
                body = json.dumps(data).encode()
        headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        await self._send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await self._send({"type": "http.response.body", "body": body})

    async def _event(self, event: bytes) -> bytes:
        """One event of a stream."""
        head, _, text = event.partition(b"data: ")
        if head.strip() or not text.startswith(b"{"):
            return event
        data = json.loads(text)
        for choice in data.get("choices", ()):
            index = choice["index"]
            prompt = _prompt_of(choice, data)
            if prompt is not None:
                self._prompt[index] = self._prompt[-1] = prompt
            if shown := choice.get("token_ids"):
                self._tokens.setdefault(index, []).extend(shown)
            if choice.get("finish_reason"):
                prompt = self._prompt.get(index, self._prompt.get(-1))
                try:
                    self._thinking.append(await self._writer.finish(choice, prompt, self._tokens.get(index)))
                except UnsupportedControl as error:
                    return b"data: " + json.dumps(_error(f"{KEY}.controls: {error}")).encode()
        if data.get("usage") and not data.get("choices"):
            _count(data, self._thinking)
        self._writer.hide(data)
        return b"data: " + json.dumps(data).encode()


def _count(data: dict[str, Any], thinking: list[int | None]) -> None:
    """Write the thinking tokens of all choices into the usage, if they can be told."""
    known = [count for count in thinking if count is not None]
    if len(known) < len(thinking):
        return
    usage = data.get("usage") or {}
    details = usage.get("completion_tokens_details") or {}
    data["usage"] = usage | {"completion_tokens_details": details | {"reasoning_tokens": sum(known)}}


def _prompt_of(choice: dict[str, Any], data: dict[str, Any]) -> list[int] | None:
    """The prompt's ids: in the choice for completions, beside it in chats."""
    return choice.get("prompt_token_ids") or data.get("prompt_token_ids")


def _has_siblings(asked: dict[str, Any]) -> bool:
    """Whether several sequences come of a request: samples, or prompts."""
    prompt = asked.get("prompt")
    prompts = len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1
    return prompts > 1 or asked.get("n") not in (None, 1)


def _controlled(body: bytes) -> dict[str, Any] | None:
    """The request, if it has controls; whatever else is wrong with it is for vLLM to say."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    given = data.get("vllm_xargs") if isinstance(data, dict) else None
    return data if isinstance(given, dict) and given.get(KEY) is not None else None


def _is_json(scope: Message) -> bool:
    kinds = [value for name, value in scope["headers"] if name.lower() == b"content-type"]
    return not kinds or b"json" in kinds[0].lower()


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            return body


def _again(body: bytes, receive: Receive) -> Receive:
    """Reads the body once more, then what comes after it."""
    given = False

    async def read() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return read


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "BadRequestError", "param": _FIELD, "code": 400}}


async def _refuse(send: Send, message: str) -> None:
    body = json.dumps(_error(message)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body})
