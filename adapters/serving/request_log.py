"""Watches every request: one line in the log of a server, as text or JSON, and its metrics."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Literal

from thinkpace.adapters.serving.gate import App, Message, Receive, Scope, Send
from thinkpace.adapters.serving.metrics import Metrics

Form = Literal["text", "json", "none"]
QUIET = ("/health", "/metrics")  # asked every few seconds
TOLD = "thinkpace.told"  # key of a scope: what the route tells the log


class RequestLog:
    """The application, watched.

    Args:
        app: the application.
        metrics: that count its requests.
        form: of a line on stderr; "none" for no lines.
        paths: the routes; other paths are counted together.
    """

    def __init__(self, app: App, metrics: Metrics, form: Form, paths: frozenset[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._form = form
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in QUIET:
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 499  # the client left before the response began

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            seconds, path = time.perf_counter() - start, scope["path"]
            self._metrics.answered(path if path in self._paths else "other", status, seconds)
            client = scope.get("client")
            fields = {"method": scope["method"], "path": path, "status": status, "seconds": round(seconds, 3)}
            self._line({**fields, "client": client and client[0], **scope.get(TOLD, {})})

    def _line(self, fields: dict[str, Any]) -> None:
        if self._form == "none":
            return
        given = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        given |= {name: value for name, value in fields.items() if value is not None}
        as_text = " ".join(f"{name}={json.dumps(value)}" for name, value in given.items())
        sys.stderr.write((json.dumps(given) if self._form == "json" else as_text) + "\n")
        sys.stderr.flush()
