"""Run a server until it is stopped, and stop it in good order."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from types import FrameType

from thinkpace.errors import MissingExtra

try:
    import uvicorn
    from fastapi import FastAPI
except ModuleNotFoundError as error:
    raise MissingExtra("serving", "serve") from error

GRACE_S = 30.0  # seconds that generations get to finish after a stop signal
LAST_WORDS_S = 5  # seconds that connections get to take what was interrupted


class Server(uvicorn.Server):
    """Stops in good order: new requests get a 503, and generations may finish for a while.

    What is not finished then is ended, and its client gets the text so far, a finish reason and "[DONE]". A second
    signal ends everything at once.

    Args:
        app: the application, from `make_app`.
        grace_s: seconds that generations get to finish.
    """

    def __init__(self, app: FastAPI, grace_s: float) -> None:
        config = uvicorn.Config(
            app, log_level="warning", lifespan="on", timeout_graceful_shutdown=int(grace_s) + LAST_WORDS_S
        )
        super().__init__(config)
        self._app = app
        self._grace_s = grace_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come."""
        if not self._app.state.stopping:
            self._app.state.stopping = True
            timer = threading.Timer(self._grace_s, self._app.state.runner.interrupt)
            timer.daemon = True
            timer.start()
        super().handle_exit(sig, frame)


def run_app(app: FastAPI, host: str, port: int, ready: Callable[[str], None], *, grace_s: float = GRACE_S) -> None:
    """Serve until interrupted.

    Args:
        app: the application, from `make_app`.
        host: address to listen on.
        port: port to listen on; 0 for any free one.
        ready: called with the URL once the server listens.
        grace_s: seconds that generations get to finish after a stop signal.

    Raises:
        OSError: if the server cannot listen on this address.
    """
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        message = f"cannot listen on {host} port {port} ({error.strerror}): choose another --host or --port"
        raise OSError(message) from None
    server = Server(app, grace_s)
    shown = f"[{host}]" if ":" in host else host
    ready(f"http://{shown}:{listener.getsockname()[1]}")
    server.run(sockets=[listener])
