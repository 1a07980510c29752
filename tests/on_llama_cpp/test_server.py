"""The server, driven by the real client of OpenAI's protocol: answers, streams, many clients."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import urllib.request
from typing import Any

import openai
import pytest
from support.openai_client import PLACES, QUESTIONS, ask

from thinkpace import Request, Sampling, StepBudget, ThinkBudget, UnsupportedControl
from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine
from thinkpace.adapters.serving.app import make_app
from thinkpace.eval import embedded


def sequences(served: str) -> int:
    with urllib.request.urlopen(f"{served}/health") as answer:
        return int(json.load(answer)["sequences"])


def test_what_comes_is_what_the_engine_says(client: Any, llama_engine: LlamaCppEngine) -> None:
    control = ThinkBudget(12, answer_reserve=50)
    for messages in QUESTIONS[:4]:
        made = ask(client, messages, thinking_token_budget=12)
        prompt = llama_engine.chat(messages)
        controls = (StepBudget(30, ("\n",)), control)
        [expected] = llama_engine.generate([Request(prompt, controls, 200, Sampling(0))])
        [choice] = made.choices
        assert choice.message.reasoning_content == expected.thinking
        assert choice.message.content == expected.answer.lstrip()
        assert choice.finish_reason == expected.finish_reason
        assert choice.receipt["end"] == expected.receipt.end
        assert made.usage.prompt_tokens == len(prompt)
        assert made.usage.completion_tokens == len(expected.tokens)
        assert made.usage.completion_tokens_details.reasoning_tokens == expected.receipt.thinking_tokens


def test_a_stream_says_the_same(client: Any) -> None:
    whole = ask(client, thinking_token_budget=20)
    said = {"reasoning_content": "", "content": ""}
    chunks = list(ask(client, thinking_token_budget=20, stream=True, stream_options={"include_usage": True}))
    for chunk in chunks:
        for choice in chunk.choices:
            for field in said:
                said[field] += getattr(choice.delta, field, None) or ""
    assert said["content"] == whole.choices[0].message.content
    assert said["reasoning_content"] == whole.choices[0].message.reasoning_content
    assert chunks[-1].usage == whole.usage
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == ["stop"]


def test_the_servers_controls_hold_unless_the_request_decides(client: Any) -> None:
    armed = ask(client).choices[0].receipt["armed"]
    assert [text.partition("(")[0] for text in armed] == ["ThinkBudget", "StepBudget"]
    armed = ask(client, controls="BudgetForcing(8, answer_reserve=16)").choices[0].receipt["armed"]
    assert [text.partition("(")[0] for text in armed] == ["StepBudget", "BudgetForcing"]
    made = ask(client, controls=[{"control": "SuppressExpressions", "expressions": ["b"]}])
    assert "b=" not in made.choices[0].message.reasoning_content
    assert ask(client, reasoning_effort="none").usage.completion_tokens_details.reasoning_tokens == 0


def test_completions_of_texts_and_of_ids(client: Any, llama_engine: LlamaCppEngine) -> None:
    text = "<|im_start|>user\na=3;b=a+4. b?<|im_end|>\n<|im_start|>assistant\n<think>\n"
    ids = list(llama_engine.vocabulary.encode(text))
    one, other = (
        client.completions.create(model="embedded", prompt=prompt, max_tokens=60, temperature=0)
        for prompt in (text, ids)
    )
    assert one.choices[0].text == other.choices[0].text
    assert "</think>" in one.choices[0].text
    assert "<|im_end|>" not in one.choices[0].text
    parts = client.completions.create(model="embedded", prompt=text, max_tokens=60, temperature=0, stream=True)
    assert "".join(part.choices[0].text for part in parts) == one.choices[0].text


def test_a_body_that_is_no_json_and_a_model_that_is_not_here(served: str, client: Any) -> None:
    request = urllib.request.Request(
        f"{served}/v1/chat/completions", b"{", {"Content-Type": "application/json"}, method="POST"
    )
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request)
    with pytest.raises(openai.NotFoundError):
        ask(client, model="another")


def test_budgets_keep_room_for_the_answer_in_small_requests(client: Any) -> None:
    """A quarter of what is asked for, also of budgets that are the server's, unless they say how much."""
    for fields in ({}, {"controls": "BudgetForcing(waits=1)"}, {"thinking_token_budget": 50}):
        made = ask(client, max_tokens=24, temperature=0, **fields)
        assert made.usage.completion_tokens_details.reasoning_tokens <= 18


def test_a_request_that_cannot_be_served_fails_alone(client: Any, served: str) -> None:
    """Controls that leave no token at the first one: others were told so, and ended."""
    clash = "BudgetForcing(0, answer_reserve=8) + StructuredAnswer(regex='5') + SuppressExpressions(('5', ' ', '\\n'))"
    long = "BudgetForcing(300, 300, answer_reserve=16)"
    with client.chat.completions.create(
        model="embedded", messages=QUESTIONS[1], max_tokens=400, stream=True, extra_body={"controls": long}
    ) as stream:
        next(iter(stream))
        with pytest.raises(openai.BadRequestError, match="no token"):
            ask(client, controls=clash)
        reasons = [choice.finish_reason for chunk in stream for choice in chunk.choices]
    assert reasons[-1] in ("stop", "length")


def test_what_is_no_text_is_told_in_the_same_form(served: str) -> None:
    for data in (b'{"messages": "\xff"}', b"", b"[]", b'{"n": ' + b"9" * 5000 + b"}"):
        request = urllib.request.Request(
            f"{served}/v1/chat/completions", data, {"Content-Type": "application/json"}, method="POST"
        )
        with pytest.raises(urllib.error.HTTPError) as found:
            urllib.request.urlopen(request)
        assert found.value.code == 400
        assert json.load(found.value)["error"]["type"] == "invalid_request_error"
        found.value.close()


def test_64_streams_with_budgets_of_their_own(served: str) -> None:
    """Every answer within its own budget, none crossed, no error; bad ones and those that leave do no harm."""

    async def one(client: Any, i: int) -> tuple[int, str, int]:
        stream = await client.chat.completions.create(
            model="embedded", messages=QUESTIONS[i], max_tokens=200, temperature=0, stream=True,
            stream_options={"include_usage": True}, extra_body={"thinking_token_budget": i},
        )  # fmt: skip
        thought, used, left = "", -1, i % 8 == 7
        async for chunk in stream:
            if chunk.usage is not None:
                used = chunk.usage.completion_tokens_details.reasoning_tokens
            for choice in chunk.choices:
                thought += getattr(choice.delta, "reasoning_content", None) or ""
            if left and thought:
                await stream.close()
                return i, thought, -1
        return i, thought, used

    async def bad(client: Any) -> None:
        with pytest.raises(openai.BadRequestError):
            await client.chat.completions.create(
                model="embedded", messages=QUESTIONS[0], extra_body={"thinking_token_budget": -9}
            )

    async def all_at_once() -> list[tuple[int, str, int]]:
        async with openai.AsyncOpenAI(base_url=f"{served}/v1", api_key="none", max_retries=0) as client:
            found = await asyncio.gather(*(one(client, i) for i in range(64)), *(bad(client) for _ in range(8)))
        return [result for result in found if result is not None]

    found = asyncio.run(all_at_once())
    with openai.OpenAI(base_url=f"{served}/v1", api_key="none") as client:
        for i, thought, used in found:
            alone = ask(client, QUESTIONS[i], thinking_token_budget=i).choices[0].message.reasoning_content or ""
            if used < 0:
                assert alone.startswith(thought)
                continue
            assert used <= i
            assert thought == alone
    settled(served, 0)  # those who left have freed their places


def test_a_client_that_leaves_frees_its_place(served: str) -> None:
    """Streams and whole answers: more leave than there are places, and their places are free long before the end."""
    controls = "BudgetForcing(800, 800, answer_reserve=16)"
    body = {"messages": QUESTIONS[0], "max_tokens": 900, "temperature": 1.0, "controls": controls}
    for streams in (True, False):
        data = json.dumps({**body, "stream": streams}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n"
        left = []
        for _ in range(PLACES + 2):
            connection = socket.create_connection(("127.0.0.1", int(served.rpartition(":")[2])))
            connection.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + data)
            left.append(connection)
        settled(served, PLACES + 2)
        for connection in left:
            connection.close()
        settled(served, 0)


def settled(served: str, count: int) -> None:
    """Wait until so many sequences are under way."""
    deadline = time.monotonic() + 20
    while (found := sequences(served)) != count:
        assert time.monotonic() < deadline, f"{found} sequences are under way, not {count}"
        time.sleep(0.01)


def test_controls_that_cannot_work_stop_the_start() -> None:
    engine = LlamaCppEngine(embedded.path("gguf"), parallel=1)
    with pytest.raises(UnsupportedControl):
        make_app(engine, controls=(ThinkBudget(3), ThinkBudget(4)))


def test_one_model_and_what_is_not_here(client: Any, served: str) -> None:
    assert client.models.retrieve("embedded").id == "embedded"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("another")
    with pytest.raises(openai.NotFoundError, match="take vLLM or llama-server"):
        client.responses.create(model="embedded", input="a")


def test_metrics(client: Any, served: str) -> None:
    def read() -> dict[str, float]:
        with urllib.request.urlopen(f"{served}/metrics") as answer:
            lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    before = read()
    made = ask(client, thinking_token_budget=5)
    after = read()

    def grown(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    assert grown('thinkpace_tokens_total{kind="thinking"}') == 5
    assert grown('thinkpace_tokens_total{kind="prompt"}') == made.usage.prompt_tokens
    assert grown('thinkpace_thinking_ends_total{end="forced"}') == 1
    assert grown('thinkpace_requests_total{path="/v1/chat/completions",status="200"}') == 1
    assert grown("thinkpace_time_to_first_token_seconds_count") == 1


def test_what_could_not_act_is_said(client: Any) -> None:
    """A prompt that closes thinking leaves a budget nothing to act on; a choice says so."""
    begun = [*QUESTIONS[0], {"role": "assistant", "content": "Final Answer:"}]
    [choice] = ask(client, begun, max_tokens=24, thinking_token_budget=3).choices
    assert choice.controls == "not held"
    assert "thinking was never opened" in choice.receipt["notes"][0]
    assert ask(client, thinking_token_budget=3).choices[0].controls == "held"
