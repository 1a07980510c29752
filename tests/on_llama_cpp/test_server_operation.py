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
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from support.commands import command, environment

from thinkpace.eval.embedded import problems
from thinkpace.prompts import PROMPTS

QUESTIONS: list[Any] = [PROMPTS["step-by-step"].render(one.question) for one in problems.examples("chain", 64, seed=12)]
LONG = "BudgetForcing(600, 600, answer_reserve=16)"  # seconds of thinking


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
    del wanted["Origin"]  # it was an internal error
    assert asked(guarded, "/v1/chat/completions", headers=wanted, method="OPTIONS")[0] == 405


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
    for _ in range(20):  # the server answers before the end of the body, which the client may see as a broken pipe
        with closing(http.client.HTTPConnection(host, int(port), timeout=30)) as connection:
            chunks = (b" " * 50_000 for _ in range(4))  # without a length
            try:
                connection.request("POST", "/v1/chat/completions", chunks, headers, encode_chunked=True)
                answer = connection.getresponse()
            except ConnectionError:
                continue
            assert answer.status == 413
            break
    else:
        pytest.fail("no answer came")


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


@dataclass
class Stream:
    """What one client read."""

    reason: str = ""
    done: bool = False
    thinking_tokens: int = 0


async def _stream(client: Any, i: int, controls: str, *, hang_up: bool = False, slow: bool = False) -> Stream | None:
    """Read a stream to its end; a client that hangs up reads three lines and gives None."""
    async with client.chat.completions.with_streaming_response.create(
        model="embedded",
        messages=QUESTIONS[i],
        max_tokens=800,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"controls": controls},
    ) as answer:
        read, lines = Stream(), 0
        async for line in answer.iter_lines():
            lines += bool(line)
            if hang_up and lines == 3:
                return None
            if slow and lines < 50:
                await asyncio.sleep(0.02)
            if line == "data: [DONE]":
                read.done = True
            elif line.startswith("data: "):
                chunk = json.loads(line[6:])
                for choice in chunk["choices"]:
                    read.reason = choice["finish_reason"] or read.reason
                if usage := chunk.get("usage"):
                    read.thinking_tokens = usage["completion_tokens_details"]["reasoning_tokens"]
        return read


async def _streams(url: str, process: subprocess.Popen[str], wait_s: float, clients: list[Any]) -> list[Stream | None]:
    """Start streams, and send SIGTERM while they run."""
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        running = [asyncio.ensure_future(_stream(client, i, *given, **how)) for i, (given, how) in enumerate(clients)]
        await asyncio.sleep(wait_s)
        os.kill(process.pid, signal.SIGTERM)
        return await asyncio.gather(*running)


def test_sigterm_under_load() -> None:
    """64 streams with a budget each, some of them hung up on, some read slowly: nothing torn, nothing crossed."""
    budgets = [40 + i for i in range(64)]
    clients = [
        ((f"BudgetForcing({budget}, {budget}, answer_reserve=16)",), {"hang_up": i % 8 == 0, "slow": i % 8 == 1})
        for i, budget in enumerate(budgets)
    ]
    with serving("--grace", "60", "--log", "json") as (process, url):
        found = asyncio.run(_streams(url, process, 1.0, clients))
        _, err = process.communicate(timeout=30)
    assert "Traceback" not in err
    for i, (stream, budget) in enumerate(zip(found, budgets, strict=True)):
        if i % 8 == 0:
            assert stream is None
        else:
            assert stream is not None
            assert (stream.done, stream.thinking_tokens) == (True, budget), f"stream {i}: {stream}"
            assert stream.reason in ("stop", "length")
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert len([line for line in lines if line["path"] == "/v1/chat/completions"]) == 64


def test_after_the_grace_clients_get_what_there_is() -> None:
    with serving("--grace", "0", "--log", "none") as (process, url):
        found = asyncio.run(_streams(url, process, 0.5, 16 * [((LONG,), {})]))
        _, err = process.communicate(timeout=30)
    assert all(stream is not None and stream.done and stream.reason == "length" for stream in found), found
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


@pytest.mark.parametrize(
    ("options", "variables", "says"),
    [
        ((), {"THINKPACE_API_KEY": ""}, "THINKPACE_API_KEY is empty"),
        (("--max-thinking-tokens", "10", "--control", "ThinkBudget(64, min_tokens=20)"), {}, "--max-thinking-tokens"),
    ],
)
def test_what_would_refuse_or_admit_everybody_does_not_start(
    options: tuple[str, ...], variables: dict[str, str], says: str
) -> None:
    done = subprocess.run(
        command("serve", "--port", "0", *options),
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert says in done.stderr
