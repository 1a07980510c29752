"""The middleware around a server that is played: what it refuses, what it passes on, what it says of hidden ids."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from thinkpace import Markers
from thinkpace.adapters.vllm.middleware import ReceiptMiddleware
from thinkpace.adapters.vllm.served_model import ServedModel
from thinkpace.testing import VOCABULARY
from thinkpace.testing.scripted_hf import WordTokenizer

MARKERS = Markers("<t>", "</t>")
OPEN, CLOSE = VOCABULARY.encode("<t>"), VOCABULARY.encode("</t>")
PROMPT = [*VOCABULARY.encode("Q<t>")]
Message = MutableMapping[str, Any]


def asked(
    body: Any,
    *answers: bytes,
    path: str = "/v1/completions",
    kind: bytes = b"application/json",
    native: bool = False,
    loaded: bool = True,
    parser: bool = False,
) -> tuple[Message | None, int, bytes]:
    """(what the server was asked, the status, the body) of one request; `answers` are the chunks it answers with."""
    seen: list[Message] = []

    async def server(_scope: Message, receive: Any, send: Any) -> None:
        seen.append(json.loads((await receive())["body"]))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        for i, chunk in enumerate(answers):
            await send({"type": "http.response.body", "body": chunk, "more_body": i + 1 < len(answers)})

    sent: list[Message] = []

    async def run() -> None:
        given = json.dumps(body).encode()

        async def receive() -> Message:
            return {"type": "http.request", "body": given, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": path, "headers": [(b"content-type", b"application/json")],
            "app": SimpleNamespace(state=SimpleNamespace(vllm_config=None)),
        }  # fmt: skip
        await ReceiptMiddleware(server)(scope, receive, send)

    ends = (lambda ids: CLOSE[0] in ids) if parser else None
    model = ServedModel(WordTokenizer(VOCABULARY), (), 256, MARKERS, (OPEN, CLOSE) if native else None, ends=ends)
    with (
        mock.patch.object(ServedModel, "of", return_value=model),
        mock.patch("thinkpace.adapters.vllm.middleware.has_our_class", return_value=loaded),
    ):
        asyncio.run(run())
    status = next(message["status"] for message in sent if message["type"] == "http.response.start")
    return (seen[0] if seen else None), status, b"".join(message.get("body", b"") for message in sent)


def controlled(text: Any, **fields: Any) -> Message:
    return {"prompt": PROMPT, "max_tokens": 200, "vllm_xargs": {"thinkpace": text}, **fields}


def test_null_is_for_vllm_to_refuse() -> None:
    """It ended in an internal error."""
    body = controlled(None)
    assert asked(body, b"{}")[0] == body


@pytest.mark.parametrize("path", ["/v1/completions", "/invocations", "/v1/messages", "/v1/responses"])
def test_every_path_is_checked(path: str) -> None:
    """Some were not: what cannot work came back as an empty answer, and beam search ignored the controls."""
    for body, said in (
        (controlled("ThinkBudget(9, answer_reserve=300)"), b"leaves no room"),
        (controlled("ThinkBudget(9)", use_beam_search=True), b"use_beam_search ignores"),
        (controlled("Nothing()"), b"unknown control"),
        (controlled("StructuredAnswer(regex='a{100000}')"), b"more than 20,000 positions"),
    ):
        passed_on, status, answer = asked(body, path=path)
        assert (passed_on, status) == (None, 400)
        assert said in answer


def test_hidden_ids_make_no_receipt_in_a_stream() -> None:
    """They were taken for none: the receipt told of an empty thought."""
    chunk = {"choices": [{"index": 0, "text": "a", "finish_reason": "stop"}], "prompt_token_ids": PROMPT}
    usage = {"choices": [], "usage": {"completion_tokens": 4}}
    events = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in (chunk, usage)) + b"data: [DONE]\n\n"
    body = controlled("ThinkBudget(9, answer_reserve=5)", stream=True)
    _, _, answer = asked(body, events, kind=b"text/event-stream")
    made, told, done = answer.strip().split(b"\n\n")
    assert json.loads(made[6:])["choices"][0]["receipt"] is None
    assert json.loads(told[6:])["usage"] == {"completion_tokens": 4}  # vLLM's own
    assert done == b"data: [DONE]"


def test_what_cannot_be_told_is_not_counted() -> None:
    answer = {"choices": [{"index": 0, "text": "a", "token_ids": None}], "usage": {"completion_tokens": 4}}
    _, _, found = asked(controlled("ThinkBudget(9, answer_reserve=5)"), json.dumps(answer).encode())
    assert json.loads(found)["usage"] == {"completion_tokens": 4}


def test_a_plain_cap_is_left_to_vllm() -> None:
    tokens = [*VOCABULARY.encode("aa</t>7"), 8]
    answer = {"choices": [{"index": 0, "prompt_token_ids": PROMPT, "token_ids": tokens}], "usage": {}}
    passed_on, _, found = asked(
        controlled("ThinkBudget(2, answer_reserve=5)"), json.dumps(answer).encode(), native=True
    )
    assert passed_on is not None
    assert (passed_on["thinking_token_budget"], passed_on["vllm_xargs"]) == (2, {})
    receipt = json.loads(found)["choices"][0]["receipt"]
    assert (receipt["enforced_by"], receipt["thinking_tokens"], receipt["end"]) == ("vLLM", 2, "forced")


@pytest.mark.parametrize(
    "fields",
    [
        {"thinking_token_budget": 99},
        {"truncate_prompt_tokens": 1},
        {"max_tokens": True},
        {"max_tokens": 0},
        {"prompt": [True, *PROMPT]},
        {"prompt": "Q<t>"},
        {"vllm_xargs": {"thinkpace": "ThinkBudget(2, min_tokens=1, answer_reserve=5)"}},
    ],
    ids=str,
)
def test_whatever_is_not_plain_stays_ours(fields: Message) -> None:
    """What our class would have refused was passed on without it."""
    passed_on, _, _ = asked(controlled("ThinkBudget(2, answer_reserve=5)", **fields), b'{"choices": []}', native=True)
    assert passed_on is not None
    assert "thinkpace" in passed_on["vllm_xargs"]
    assert passed_on.get("thinking_token_budget") in (None, 99)


def test_a_server_without_the_class_is_told() -> None:
    """It answered in full, without a budget, and with a receipt of null."""
    passed_on, status, answer = asked(controlled("ThinkBudget(9)"), b"{}", loaded=False)
    assert (passed_on, status) == (None, 400)
    assert b"--logits-processors thinkpace.adapters.vllm:ThinkpaceLogitsProcessor" in answer
    assert asked({"prompt": PROMPT}, b"{}", loaded=False)[1] == 200


@pytest.mark.parametrize("name", ["ThinkPace", "think_pace", "thinkpace ", "THINKPACE"])
def test_a_name_that_is_nearly_ours(name: str) -> None:
    passed_on, status, answer = asked({"prompt": PROMPT, "vllm_xargs": {name: "ThinkBudget(9)"}}, b"{}")
    assert (passed_on, status) == (None, 400)
    assert b"the name is 'thinkpace'" in answer


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("use_beam_search", True),
        ("ignore_eos", True),
        ("allowed_token_ids", [3]),
        ("response_format", {"type": "json_object"}),
        ("structured_outputs", {"regex": "a"}),
    ],
)
def test_a_field_that_conflicts_is_named(field: str, value: Any) -> None:
    passed_on, status, answer = asked(controlled("ThinkBudget(9)", **{field: value}), b"{}")
    assert (passed_on, status) == (None, 400)
    assert json.loads(answer)["error"]["param"] == field


@pytest.mark.parametrize(
    "field", [{"response_format": {"type": "json_object"}}, {"structured_outputs": {"regex": "7"}}]
)
def test_structured_outputs_of_vllm_behind_a_reasoning_parser(field: Message) -> None:
    """D39: always a 400, though a reasoning parser keeps the two apart."""
    passed_on, status, _ = asked(controlled("ThinkBudget(9, answer_reserve=5)", **field), b"{}", parser=True)
    assert status == 200
    assert passed_on is not None
    assert json.loads(passed_on["vllm_xargs"]["thinkpace"])["structured_outputs"] is True
    _, status, answer = asked(controlled("BudgetForcing(9, final='so', answer_reserve=5)", **field), b"{}", parser=True)
    assert status == 400
    assert json.loads(answer)["error"]["param"] == next(iter(field))
    assert b"final=None" in answer


@pytest.mark.parametrize("name", ["controls", "thinkpace", "thinking_budget", "max_thinking_tokens"])
def test_controls_beside_the_field_that_vllm_passes_on(name: str) -> None:
    """Clients of other servers lost their budgets: vLLM ignores fields that it does not know."""
    passed_on, status, answer = asked({"prompt": PROMPT, name: "ThinkBudget(9)"}, b"{}")
    assert (passed_on, status) == (None, 400)
    assert json.loads(answer)["error"]["param"] == name
    assert asked({"prompt": PROMPT, "thinking_token_budget": 5}, b"{}")[1] == 200, "vLLM's own"


def test_a_grammar_with_hidden_reasoning_is_refused() -> None:
    """vLLM then applies it from the first token, and ended the request at the close of the budget."""
    fields = {"structured_outputs": {"regex": "7"}, "include_reasoning": False}
    _, status, answer = asked(controlled("ThinkBudget(9, answer_reserve=5)", **fields), b"{}", parser=True)
    assert status == 400
    assert b"include_reasoning" in answer
