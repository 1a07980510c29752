"""A real vLLM server in a process of its own, with our class and middleware, on the embedded model."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from thinkpace.adapters.vllm.terms import PROCESSOR
from thinkpace.eval import embedded


@contextlib.contextmanager
def serving(folder: Path, *options: str) -> Iterator[str]:
    """Its address while it runs; it must live until the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "log"
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(embedded.path("hf")),
        "--host", "127.0.0.1", "--port", str(port), "--served-model-name", "embedded", "--dtype", "float32",
        "--enforce-eager", "--max-model-len", "512",
        "--logits-processors", PROCESSOR,
        "--middleware", "thinkpace.adapters.vllm_middleware.ReceiptMiddleware",
        *options,
    ]  # fmt: skip
    with log.open("w") as out:
        server = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "VLLM_LOGGING_LEVEL": "INFO"}
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=2)
                break
            except OSError:
                assert server.poll() is None, log.read_text()[-5000:]
                time.sleep(1)
        yield f"{address}/v1"
        assert server.poll() is None, log.read_text()[-5000:]  # it lives
    finally:
        server.terminate()
        server.wait(60)
