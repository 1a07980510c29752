"""Checks before a request is read: API key, host, origin, size of the body, and whether the server is stopping."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from thinkpace.adapters.serving.answers import error_body

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = ("/health",)  # need no key, so that a supervisor can ask
MOST_BODY_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask, and for how much.

    Args:
        api_keys: one of them must come as `Authorization: Bearer KEY`; none lets everybody in.
        hosts: names under which the server may be addressed, without port; none allows all. A page in a browser can
            make a name of its own point to this machine (DNS rebinding), and is refused by this.
        origins: web pages that may ask, such as "https://example.org"; "*" allows all. Requests without an `Origin`
            header come from no page.
        max_body_bytes: maximum size of a request.
    """

    api_keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    max_body_bytes: int = MOST_BODY_BYTES


class Gate:
    """The application behind the checks.

    Args:
        app: the application.
        access: what is allowed.
        stopping: whether the server takes no more requests.
    """

    def __init__(self, app: App, access: Access, stopping: Callable[[], bool]) -> None:
        self._app = app
        self._access = access
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refusal(scope, headers)
        if refused is not None:
            await _send_error(send, *refused)
            return
        allowed = self._allows(headers)
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers and "origin" in headers:
            await _send(send, 204, b"", _cors(headers["origin"], preflight=True) if allowed else [])
            return
        left, too_long = self._access.max_body_bytes, False

        async def counted() -> Message:
            nonlocal left, too_long
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:  # without a Content-Length
                too_long = True
                return {"type": "http.disconnect"}
            return message

        async def answered(message: Message) -> None:
            if too_long:  # whatever the application says of a body that was cut
                return
            if message["type"] == "http.response.start" and allowed:
                message = {**message, "headers": [*message.get("headers", ()), *_cors(headers["origin"])]}
            await send(message)

        try:
            await self._app(scope, counted, answered)
        except Exception:
            if not too_long:
                raise
        if too_long:
            await _send_error(send, 413, self._too_long(), None)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str, str | None] | None:
        access, path = self._access, scope["path"]
        host = _without_port(headers.get("host", ""))
        if access.hosts and host not in access.hosts:
            return 403, f"this server is not addressed as {host!r}: --allowed-host allows a name", None
        origin = headers.get("origin")
        own = origin is not None and origin.partition("://")[2].lower() == headers.get("host", "").lower()
        if origin is not None and not own and not self._allows(headers):
            return 403, f"pages of {origin!r} may not ask this server: --allow-origin allows them", None
        if scope["method"] == "OPTIONS":
            return None
        given = headers.get("authorization", "").removeprefix("Bearer ").encode()
        keys = [key.encode() for key in access.api_keys]
        if keys and path not in OPEN_PATHS and not any(hmac.compare_digest(given, key) for key in keys):
            return 401, "the API key is missing or wrong: send it as 'Authorization: Bearer KEY'", None
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > access.max_body_bytes:
            return 413, self._too_long(), None
        if self._stopping() and path not in OPEN_PATHS:
            return 503, "the server is shutting down", None
        return None

    def _too_long(self) -> str:
        return f"the body has more than the {self._access.max_body_bytes} bytes allowed here (--max-body-bytes)"

    def _allows(self, headers: dict[str, str]) -> bool:
        return "origin" in headers and ("*" in self._access.origins or headers["origin"] in self._access.origins)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()


def _cors(origin: str, *, preflight: bool = False) -> list[tuple[bytes, bytes]]:
    headers = [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]
    if preflight:
        headers += [
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", b"authorization, content-type"),
        ]
    return headers


async def _send_error(send: Send, status: int, message: str, field: str | None) -> None:
    body = json.dumps(error_body(status, message, field)).encode()
    await _send(send, status, body, [(b"content-type", b"application/json"), (b"connection", b"close")])


async def _send(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
