"""Middleware for `vllm serve`: adds receipts to responses, and refuses controls that cannot work with a 400.

    vllm serve MODEL --logits-processors thinkpace.adapters.vllm:ThinkpaceLogitsProcessor \\
        --middleware thinkpace.adapters.vllm_middleware.ReceiptMiddleware

If a request has `vllm_xargs.thinkpace`, every choice of its response gets a field `receipt`; in a stream, the chunk
with its `finish_reason` does. A field `controls` says "held", "not held" (the receipt's notes say what could not act),
or "not known" where there is no receipt. With `return_token_ids` it also gets `notes`, from which a client can replay
the tokens. Requests without controls are passed on unchanged. A server that does not load the class refuses requests
with controls.

With `--additional-config '{"thinkpace": {"native_caps": true}}'` and a reasoning config, vLLM's own budget enforces a
plain `ThinkBudget(n)` of a completion from token ids, where its output is the same. The receipt then says so.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict, replace
from typing import Any

from thinkpace.adapters.vllm.native.budget import native_cap
from thinkpace.adapters.vllm.notes import WorkerNotes, close_notes, of, open_notes, read_notes
from thinkpace.adapters.vllm.offline import has_our_class
from thinkpace.adapters.vllm.params import FIELD, Conflict
from thinkpace.adapters.vllm.served_model import ServedModel, replayed
from thinkpace.adapters.vllm.terms import KEY, PROCESSOR, WireRequest, misspelled_key, terms_from
from thinkpace.engine import Request
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.budgeting.budget import ALIASES
from thinkpace.processors.text.shared_patterns import shared_patterns
from thinkpace.user_folder import open_user_folder

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

PATHS = ("/v1/chat/completions", "/v1/completions")  # responses of other routes contain no token ids to replay
#: request fields that do not affect which tokens a budget sees
_PLAIN = {
    *("model", "prompt", "max_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "n", "stop", "user"),
    *("stream", "stream_options", "logprobs", "return_token_ids", "vllm_xargs"),
}
_log = logging.getLogger("thinkpace")

#: request fields that conflict with controls, and why
_CONFLICTS = {
    "use_beam_search": "ignores logits processors, and so all controls: leave one of them out",
    "ignore_eos": "continues after the end of the sequence, where no control applies: leave it out",
    "allowed_token_ids": "may leave a control no token, or take its own: leave one of them out",
}
#: names of budgets and controls that other servers take at the top level of a request, and vLLM ignores
_IGNORED = {"controls", KEY, *ALIASES} - {"thinking_token_budget"}
_GRAMMARS = ("structured_outputs", "response_format")  # request fields that make vLLM constrain the answer


class ReceiptMiddleware:
    """ASGI middleware of vLLM's server.

    Args:
        app: the application that it wraps.

    Raises:
        PermissionError: if the folder for notes belongs to another user.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._model: ServedModel | None = None
        open_user_folder()  # notes go there: a server that could not write them does not start

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] != "POST" or not _is_json(scope):
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        fields = _controlled(body)
        if fields is None:
            await self._app(scope, _again(body, receive), send)
            return
        config = scope["app"].state.vllm_config
        try:
            terms = await asyncio.to_thread(self._understood, config, fields)
        except Conflict as error:
            await _refuse(send, str(error), error.field)
            return
        except (ValueError, UnsupportedControl) as error:
            await _refuse(send, str(error))
            return
        if not scope["path"].endswith(PATHS):
            await self._app(scope, _again(body, receive), send)
            return
        shows = bool(fields.get("return_token_ids"))
        fields["return_token_ids"] = True
        assert self._model is not None  # a request was understood
        cap = self._native_cap(scope["path"], fields, terms)
        terms = replace(terms, receipt=open_notes(), has_siblings=_has_siblings(fields))
        try:
            if cap is None:
                fields["vllm_xargs"] = fields["vllm_xargs"] | {KEY: terms.text()}
            else:
                fields["vllm_xargs"] = {name: value for name, value in fields["vllm_xargs"].items() if name != KEY}
                fields["thinking_token_budget"] = cap
            limit = None if cap is None else fields["max_tokens"]
            answer = _Answer(send, _Writer(self._model, terms, shows, limit))
            changed = json.dumps(fields).encode()
            headers = [(name, value) for name, value in scope["headers"] if name.lower() != b"content-length"]
            scope = {**scope, "headers": [*headers, (b"content-length", str(len(changed)).encode())]}
            await self._app(scope, _again(changed, receive), answer.send)
        finally:
            close_notes(terms.receipt)

    def _understood(self, config: Any, fields: dict[str, Any]) -> WireRequest:
        """The terms of a request, after compiling them once to check that they work."""
        if self._model is None:
            if not has_our_class(config):
                raise ValueError(f"this server ignores controls: start it with --logits-processors {PROCESSOR}")
            self._model = ServedModel.of(config)
        for name in sorted(_IGNORED & set(fields)):
            raise Conflict(name, f"vLLM ignores {name}: write the controls into {FIELD}, such as 'ThinkBudget(512)'")
        for name, why in _CONFLICTS.items():
            if fields.get(name):
                raise Conflict(name, f"{name} {why}")
        with shared_patterns():  # the worker finds them built
            terms = terms_from(fields["vllm_xargs"])
        assert terms is not None  # the field is there
        if fields.get("echo") and not fields.get("return_token_ids"):
            raise Conflict("echo", "echo shows no prompt beside receipts: leave it out, or ask for return_token_ids")
        limits = [fields[name] for name in ("max_completion_tokens", "max_tokens") if fields.get(name) is not None]
        limit = terms.continued + limits[0] if limits and type(limits[0]) is int and limits[0] >= 1 else None
        try:
            program = self._model.program(WireRequest(terms.controls, terms.markers), limit)
        except (ValueError, UnsupportedControl) as error:
            raise ValueError(f"{KEY}.controls: {error}".replace("max_new_tokens", "max_tokens")) from None
        reason = self._model.no_structured_outputs(terms.controls, program)
        if reason is None and fields.get("include_reasoning") is False:  # vLLM then applies the grammar to all of it
            reason = "constrain thinking too with include_reasoning=false: leave it out"
        for name in _GRAMMARS:
            if reason is not None and fields.get(name) and fields.get(name) != {"type": "text"}:
                raise Conflict(name, reason)
        return replace(terms, structured_outputs=reason is None)  # of tools too, which vLLM makes a grammar of

    def _native_cap(self, path: str, fields: dict[str, Any], terms: WireRequest) -> int | None:
        """The `thinking_token_budget` for vLLM; None where it would differ from the controls, or might."""
        prompt, limit = fields.get("prompt"), fields.get("max_tokens")
        ids = isinstance(prompt, list) and bool(prompt) and all(type(token) is int for token in prompt)
        if set(fields) - _PLAIN or type(limit) is not int or limit < 1:  # left to vLLM or our logits processor
            return None
        native = self._model.native if self._model else None
        if native is None or self._model is None or not path.endswith("/v1/completions") or not ids or terms.continued:
            return None
        request = Request(tuple(fields["prompt"]), terms.controls, limit)
        return native_cap(request, self._model.program(WireRequest(terms.controls, terms.markers), limit), *native)


class _Writer:
    """Makes receipts for the choices of one response.

    Args:
        model: the served model.
        terms: terms of the request.
        shows: whether the client requested token ids.
        native: the request's limit on output tokens if vLLM's own budget enforces the cap; else None.
    """

    def __init__(self, model: ServedModel, terms: WireRequest, shows: bool, native: int | None) -> None:
        self._model = model
        self._terms = terms
        self._shows = shows
        self._native = native

    async def finish(self, choice: dict[str, Any], prompt: list[int] | None, tokens: list[int] | None) -> int | None:
        """Run `_finish` in a thread, outside the event loop."""
        return await asyncio.to_thread(self._finish, choice, prompt, tokens)

    def _finish(self, choice: dict[str, Any], prompt: list[int] | None, tokens: list[int] | None) -> int | None:
        """Add the receipt to a choice that is complete.

        Args:
            choice: the choice, changed in place.
            prompt: prompt ids; None if vLLM does not return them.
            tokens: output ids; None if vLLM does not return them.

        Returns:
            Its number of thinking tokens; None if unknown.

        Raises:
            UnsupportedControl: if the controls failed during decoding.
        """
        choice["receipt"], choice["controls"] = None, "not known"
        if prompt is None or tokens is None:  # include_reasoning=false hides them
            return None
        notes = read_notes(self._terms.receipt)
        error = next((noted.error for noted in notes if noted.error is not None), None)
        if error is not None:
            raise UnsupportedControl(error)
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
        choice["controls"] = receipt.held
        if self._shows:
            choice["notes"] = noted.to_json()
        return receipt.thinking_tokens

    def hide(self, data: dict[str, Any]) -> None:
        """Remove token ids that the client did not request."""
        for part in () if self._shows else (data, *data.get("choices", ())):
            for name in ("token_ids", "prompt_token_ids"):
                part.pop(name, None)


class _Answer:
    """Forwards a response, with receipts added."""

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
        """Handle one message from the server."""
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
            choices = data.get("choices", []) if isinstance(data, dict) else []  # null if the client disconnected
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
    """Write the number of thinking tokens of all choices into `usage`, if all are known."""
    counts = [count for count in thinking if count is not None]
    if len(counts) < len(thinking):
        return
    usage = data.get("usage") or {}
    details = usage.get("completion_tokens_details") or {}
    data["usage"] = usage | {"completion_tokens_details": details | {"reasoning_tokens": sum(counts)}}


def _prompt_of(choice: dict[str, Any], data: dict[str, Any]) -> list[int] | None:
    """The prompt's ids: vLLM returns them in the choice for completions, and beside the choices for chats."""
    return choice.get("prompt_token_ids") or data.get("prompt_token_ids")


def _has_siblings(fields: dict[str, Any]) -> bool:
    """Whether a request yields several sequences: several samples, or several prompts."""
    prompt = fields.get("prompt")
    prompts = len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1
    return prompts > 1 or fields.get("n") not in (None, 1)


def _controlled(body: bytes) -> dict[str, Any] | None:
    """The body of a request with controls, else None. vLLM reports all other errors in it."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    given = data.get("vllm_xargs")
    if isinstance(given, dict) and (given.get(KEY) is not None or misspelled_key(given)):
        return data
    return data if _IGNORED & set(data) else None


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
    """A `receive` that returns the body again, then the messages after it."""
    given = False

    async def read() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return read


def _error(message: str, field: str = FIELD) -> dict[str, Any]:
    return {"error": {"message": message, "type": "BadRequestError", "param": field, "code": 400}}


async def _refuse(send: Send, message: str, field: str = FIELD) -> None:
    body = json.dumps(_error(message, field)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body})
