"""The server as operators run it: keys, hosts, pages, sizes, ceilings, and stopping."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import openai
import pytest
from support.commands import command, environment

from thinkpace.eval.embedded import problems
from thinkpace.prompts import PROMPTS

QUESTIONS: list[Any] = [PROMPTS["step-by-step"].render(one.question) for one in problems.examples("chain", 64, seed=12)]
LONG = {"controls": "BudgetForcing(600, 600, answer_reserve=16)"}  # seconds of thinking


@contextmanager
def serving(*options: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, with its base URL."""
    process = subprocess.Popen(
        command("serve", "--port", "0", *options),
        env={**environment(), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        yield process, found[0]
    finally:
        process.kill()
        process.communicate(timeout=20)


def asked(url: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, method: str = "GET") -> Any:
    """(status, headers, body) of a raw request."""
    host, _, port = url.removeprefix("http://").removesuffix("/v1").rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        connection.request(method, path, body or None, headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    options = ("--max-thinking-tokens", "20", "--allow-origin", "https://example.org", "--max-body-bytes", "100000")
    with serving(*options, THINKPACE_API_KEY="secret") as (_, url):
        yield url


def test_a_key_is_needed(guarded: str) -> None:
    status, _, body = asked(guarded, "/v1/models")
    assert status == 401
    assert "Bearer" in json.loads(body)["error"]["message"]
    assert asked(guarded, "/health")[0] == 200
    assert asked(guarded, "/v1/models", headers={"Authorization": "Bearer wrong"})[0] == 401
    with openai.OpenAI(base_url=guarded, api_key="secret", max_retries=0) as client:
        assert client.models.list().data[0].id == "embedded"


def test_other_names_and_other_pages_are_refused(guarded: str) -> None:
    """DNS rebinding: a page makes a name of its own point here."""
    key = {"Authorization": "Bearer secret"}
    assert asked(guarded, "/v1/models", headers={**key, "Host": "evil.example:80"})[0] == 403
    assert asked(guarded, "/v1/models", headers={**key, "Host": "localhost:1"})[0] == 200
    assert asked(guarded, "/v1/models", headers={**key, "Origin": "https://evil.example"})[0] == 403
    status, headers, _ = asked(guarded, "/v1/models", headers={**key, "Origin": "https://example.org"})
    assert status == 200
    assert headers["access-control-allow-origin"] == "https://example.org"
    wanted = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    status, headers, _ = asked(guarded, "/v1/chat/completions", headers=wanted, method="OPTIONS")
    assert status == 204
    assert "authorization" in headers["access-control-allow-headers"]


def test_a_large_body_is_refused_at_once(guarded: str) -> None:
    headers = {"Authorization": "Bearer secret", "Content-Type": "application/json"}
    host, _, port = guarded.removeprefix("http://").removesuffix("/v1").rpartition(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=30)) as connection:
        start = time.perf_counter()
        connection.putrequest("POST", "/v1/chat/completions")
        for name, value in {**headers, "Content-Length": str(30 << 20)}.items():
            connection.putheader(name, value)
        connection.endheaders()  # the body is not even sent
        answer = connection.getresponse()
        assert answer.status == 413
        assert "--max-body-bytes" in answer.read().decode()
        assert time.perf_counter() - start < 5
    with closing(http.client.HTTPConnection(host, int(port), timeout=30)) as connection:
        chunks = (b" " * 50_000 for _ in range(4))  # without a length
        connection.request("POST", "/v1/chat/completions", chunks, headers, encode_chunked=True)
        answer = connection.getresponse()
        assert answer.status == 413
        answer.read()


def test_the_operators_ceiling_holds(guarded: str) -> None:
    with openai.OpenAI(base_url=guarded, api_key="secret", max_retries=0) as client:
        for fields in ({}, {"thinking_token_budget": 90}, {"reasoning_effort": "high"}, {"think": True}):
            made = client.chat.completions.create(
                model="embedded", messages=QUESTIONS[0], max_tokens=200, temperature=0, extra_body=fields
            )
            usage: Any = made.usage
            assert usage.completion_tokens_details.reasoning_tokens <= 20
        with pytest.raises(openai.BadRequestError, match="caps thinking at 20"):
            client.chat.completions.create(
                model="embedded", messages=QUESTIONS[0], max_tokens=200, extra_body={"controls": "ThinkBudget(40, 30)"}
            )


async def _streams(url: str, count: int, process: subprocess.Popen[str], wait_s: float) -> list[tuple[str, bool]]:
    """Start streams, send SIGTERM while they run; returns (finish reason, whether "[DONE]" came) of each."""

    async def one(client: Any, i: int) -> tuple[str, bool]:
        reason = ""
        async with client.chat.completions.with_streaming_response.create(
            model="embedded", messages=QUESTIONS[i], max_tokens=800, stream=True, extra_body=LONG
        ) as answer:
            done = False
            async for line in answer.iter_lines():
                if line == "data: [DONE]":
                    done = True
                elif line.startswith("data: "):
                    for choice in json.loads(line[6:])["choices"]:
                        reason = choice["finish_reason"] or reason
            return reason, done

    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        running = [asyncio.ensure_future(one(client, i)) for i in range(count)]
        await asyncio.sleep(wait_s)
        os.kill(process.pid, signal.SIGTERM)
        return await asyncio.gather(*running)


def test_sigterm_lets_streams_end() -> None:
    with serving("--grace", "60", "--log", "json") as (process, url):
        found = asyncio.run(_streams(url, 16, process, 1.0))
        _, err = process.communicate(timeout=30)
    assert all(done and reason in ("stop", "length") for reason, done in found)
    assert "Traceback" not in err
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert len([line for line in lines if line["path"] == "/v1/chat/completions"]) == 16
    assert all(line["status"] == 200 and line["thinking_tokens"] > 0 for line in lines)


def test_after_the_grace_clients_get_what_there_is() -> None:
    with serving("--grace", "0", "--log", "none") as (process, url):
        found = asyncio.run(_streams(url, 16, process, 0.5))
        _, err = process.communicate(timeout=30)
    assert all(done and reason == "length" for reason, done in found), found
    assert "Traceback" not in err


def test_serve_on_the_command_line() -> None:
    with (
        serving("--control", "ThinkBudget(8, answer_reserve=16)") as (_, url),
        openai.OpenAI(base_url=url, api_key="none", max_retries=5) as client,
    ):
        assert client.models.list().data[0].id == "embedded"
        made = client.chat.completions.create(model="embedded", messages=QUESTIONS[0], max_tokens=200, temperature=0)
        usage: Any = made.usage
        assert usage.completion_tokens_details.reasoning_tokens == 8
