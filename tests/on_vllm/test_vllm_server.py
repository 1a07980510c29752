"""A real `vllm serve` with our class and middleware, asked by the real `openai` client."""

from __future__ import annotations

import json
import os
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, OpenAI
from support.continuing import cut, whole
from support.vllm_process import serving

from thinkpace import (
    BudgetForcing,
    Control,
    LoopBreaker,
    Request,
    Sampling,
    StepBudget,
    ThinkBudget,
    ThoughtSwitchPenalty,
    UnsupportedControl,
)
from thinkpace.adapters.hf.engine import HFEngine
from thinkpace.adapters.segmented import SegmentedEngine
from thinkpace.adapters.vllm.engine import VLLMEngine
from thinkpace.adapters.vllm.terms import extra_args
from thinkpace.eval import embedded
from thinkpace.eval.embedded import problems
from thinkpace.processors.controls.structured_answer import _BEFORE
from thinkpace.processors.text import shared_patterns
from thinkpace.processors.text.pattern import Pattern

QUESTION = problems.examples("chain", 1, seed=5)[0].question


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    options = [
        "--max-num-seqs", "32",
        "--max-num-batched-tokens", "64",  # prompts are read in chunks
        "--block-size", "32", "--num-gpu-blocks-override", "20",  # sequences are preempted
    ]  # fmt: skip
    with serving(tmp_path_factory.mktemp("server"), *options) as address:
        yield address


@pytest.fixture(scope="module")
def client(url: str) -> OpenAI:
    return OpenAI(base_url=url, api_key="EMPTY", max_retries=0, timeout=280)


def ask(client: OpenAI, arguments: dict[str, Any], **fields: Any) -> Any:
    fields = {"max_tokens": 120, "temperature": 1.0, **fields}
    extra = {"vllm_xargs": arguments, **fields.pop("extra_body", {})}
    messages: Any = [{"role": "user", "content": QUESTION}]
    return client.chat.completions.create(model="embedded", messages=messages, extra_body=extra, **fields)


def test_a_budget_holds_and_the_receipt_says_so(client: OpenAI) -> None:
    made = ask(client, {"thinkpace": "ThinkBudget(9, answer_reserve=16)"}, n=3)
    for choice in made.choices:
        receipt = choice.model_extra["receipt"]
        assert receipt["thinking_tokens"] <= 9
        assert receipt["armed"] == ["ThinkBudget(max_tokens=9, answer_reserve=16)"]
        assert "token_ids" not in choice.model_extra
    thought = sum(choice.model_extra["receipt"]["thinking_tokens"] for choice in made.choices)
    assert made.usage.completion_tokens_details.reasoning_tokens == thought


def test_a_stream_ends_with_the_receipt(client: OpenAI) -> None:
    *_, last = [
        chunk
        for chunk in ask(client, extra_args(BudgetForcing(20, waits=1, answer_reserve=16)), stream=True)
        if chunk.choices
    ]
    receipt = last.choices[0].model_extra["receipt"]
    assert last.choices[0].finish_reason in ("stop", "length")
    assert receipt["thinking_tokens"] <= 20
    assert receipt["usage"]["prompt"] > 0


def test_a_stream_counts_its_thinking(client: OpenAI) -> None:
    arguments = extra_args(ThinkBudget(9, answer_reserve=16))
    *_, last = ask(client, arguments, stream=True, stream_options={"include_usage": True})
    assert 0 < last.usage.completion_tokens_details.reasoning_tokens <= 9


KINDS = ("thinking", "forced", "marker", "answer")
#: it needs a number for every line, and writes what that number decides: a receipt of another sample shows
SPEED = "PhasedSpeed(slow_tokens=1000, wait_probability=0.5, separators=('=',), answer_reserve=0)"


@pytest.mark.parametrize("stop", [None, ["c", "="]])
def test_every_sample_has_its_own_receipt(client: OpenAI, stop: list[str] | None) -> None:
    """Receipts of samples were mixed up, and those that a stop string ended had none."""
    for _ in range(4):
        made = ask(client, {"thinkpace": SPEED}, n=16, max_tokens=24, stop=stop, extra_body={"return_token_ids": True})
        for choice in made.choices:
            receipt = choice.model_extra["receipt"]
            assert all(event["what"] != "diverged" for event in receipt["events"])
            usage = receipt["usage"]
            assert sum(usage[kind] for kind in KINDS) == len(choice.model_extra["token_ids"])


def test_every_prompt_has_its_own_receipt(client: OpenAI, engine: HFEngine) -> None:
    asked = [engine.chat([{"role": "user", "content": one.question}]) for one in problems.examples("chain", 3, seed=6)]
    extra = {"vllm_xargs": {"thinkpace": "BudgetForcing(30, waits=1, answer_reserve=16)"}, "return_token_ids": True}
    made = client.completions.create(model="embedded", prompt=asked, max_tokens=100, n=2, extra_body=extra)
    for i, choice in enumerate(made.choices):
        said = choice.model_extra or {}
        usage = said["receipt"]["usage"]
        assert usage["prompt"] == len(asked[i // 2])
        assert sum(usage[kind] for kind in KINDS) == len(said["token_ids"])


def test_echo_is_refused(client: OpenAI) -> None:
    extra = {"vllm_xargs": {"thinkpace": "LoopBreaker()"}}
    with pytest.raises(BadRequestError, match="echo"):
        client.completions.create(model="embedded", prompt="Q", echo=True, extra_body=extra)


def test_requests_without_controls_are_left_alone(client: OpenAI) -> None:
    made = ask(client, {}, temperature=0)
    assert "receipt" not in (made.choices[0].model_extra or {})


@pytest.mark.parametrize(
    ("arguments", "extra", "named"),
    [
        ({"thinkpace": "ThinkBudget(-2)"}, {}, "max_tokens"),
        ({"thinkpace": "Thinkbudgets(2)"}, {}, "Thinkbudgets"),
        ({"thinkpace": '{"controls": [{"control": "LoopBreaker", "repeat": 2}]}'}, {}, "thinkpace.controls[0]"),
        ({"thinkpace": '{"contrls": []}'}, {}, "thinkpace.contrls"),
        ({"thinkpace": "{"}, {}, "thinkpace"),
        ({"thinkpace": 5}, {}, "thinkpace"),
        ({"thinkpace": '{"controls": [], "seed": "x"}'}, {}, "seed"),
        ({"thinking_token_budget": 5}, {}, "thinking_token_budget"),
        ({"thinkpace": "ConfidenceExit('trial')"}, {}, "ConfidenceExit"),
        ({"thinkpace": "BudgetForcing(min_tokens=500)"}, {}, "min_tokens"),
        ({"thinkpace": "LoopBreaker()"}, {"ignore_eos": True}, "ignore_eos"),
        ({"thinkpace": "LoopBreaker()"}, {"structured_outputs": {"regex": "a"}}, "structured_outputs"),
        ({"thinkpace": "LoopBreaker()"}, {"allowed_token_ids": [3, 4]}, "allowed_token_ids"),
        ({"thinkpace": "StructuredAnswer(choices=('7', '5'))"}, {"bad_words": ["7", "5"]}, "bad_words"),
        ({"thinkpace": "ThinkBudget(5)"}, {"thinking_token_budget": 5}, "thinking_token_budget"),
        ({"thinkpace": "StructuredAnswer(choices=('7', '5'))"}, {"min_tokens": 80}, "min_tokens"),
        ({"thinkpace": "StructuredAnswer(regex='a{100000}')"}, {}, "more than 20,000 positions"),  # D35
    ],
)
def test_what_cannot_be_honoured_is_a_400_that_names_the_field(
    client: OpenAI, arguments: dict[str, Any], extra: dict[str, Any], named: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        ask(client, arguments, extra_body=extra)
    assert named in caught.value.message
    assert caught.value.param == next(iter(extra), "vllm_xargs.thinkpace")


def test_the_worker_reads_the_automaton_that_the_frontend_left(client: OpenAI) -> None:
    """Issue 15: built once, and beside the engine. A file that says another thing shows who reads it."""
    left = {path.name for path in notes_folder().glob(".patterns/*")}
    ask(client, {"thinkpace": "StructuredAnswer(regex='[35][46]2') + ThinkBudget(9)"})
    [path] = [path for path in notes_folder().glob(".patterns/*") if path.name not in left]
    path.unlink()
    shared_patterns.write(Pattern("777").tables(), "3332", _BEFORE)
    made = ask(client, {"thinkpace": "StructuredAnswer(regex='3332') + ThinkBudget(9)"}, temperature=0)
    assert made.choices[0].message.content.endswith("777")


def test_the_engine_over_a_server_agrees_with_transformers(url: str, engine: HFEngine) -> None:
    served = VLLMEngine.connect(url, tokenizer=embedded.path("hf"))
    prompt = engine.chat([{"role": "user", "content": QUESTION}])
    lists = [(), (ThinkBudget(9, answer_reserve=16),), (BudgetForcing(40, waits=2, answer_reserve=16), LoopBreaker())]
    requests = [Request(prompt, controls, 120, Sampling(0)) for controls in lists]
    for one, other in zip(served.generate(requests), engine.generate(requests), strict=True):
        assert (one.tokens, one.kinds, one.receipt) == (other.tokens, other.kinds, other.receipt)
    served.close()


def test_the_engine_over_a_server_goes_on_from_what_is_there(url: str) -> None:
    served = VLLMEngine.connect(url, tokenizer=embedded.path("hf"))
    pairs = whole(served, (BudgetForcing(40, waits=1, answer_reserve=16),), 0.0)
    assert served.generate(cut(pairs)) == [made for _, made in pairs]
    served.close()


@pytest.mark.parametrize("ids", [True, False])
def test_segments_without_our_class_agree_with_transformers(url: str, engine: HFEngine, ids: bool) -> None:
    """These requests say nothing of controls: any server could answer them."""
    served = SegmentedEngine(url, engine.tokenizer, ids=ids)
    prompt = engine.chat([{"role": "user", "content": QUESTION}])
    lists: list[tuple[Control, ...]] = [
        (), (ThinkBudget(0, answer_reserve=16),), (ThinkBudget(9, answer_reserve=16, message="so"),),
        (BudgetForcing(40, waits=2, answer_reserve=16),), (BudgetForcing(60, 40, wait="Wait", answer_reserve=16),),
    ]  # fmt: skip
    requests = [Request(prompt, controls, 120, Sampling(0)) for controls in lists]
    for one, other in zip(served.generate(requests), engine.generate(requests), strict=True):
        assert (one.tokens, one.kinds) == (other.tokens, other.kinds)
        assert one.receipt.events == other.receipt.events
        assert one.usage.reread > 0 or not one.receipt.events
    with pytest.raises(UnsupportedControl, match="LoopBreaker"):
        served.generate([Request(prompt, (LoopBreaker(),), 120)])
    served.close()


def notes_folder() -> Path:
    return Path(tempfile.gettempdir()) / f"thinkpace-{os.getuid()}"


@pytest.mark.timeout(600)
def test_many_at_once_under_preemption(client: OpenAI, url: str) -> None:
    """200 requests: mixed controls, some cancelled, some malformed; every finished answer obeys its own controls."""

    before = {path.name for path in notes_folder().iterdir()}

    def one(i: int) -> None:
        limit = 4 + i % 37
        if i % 10 == 3:
            with pytest.raises(BadRequestError):
                ask(client, {"thinkpace": f"ThinkBudget({limit}, nonsense=1)"})
        elif i % 10 == 7:
            stream = ask(client, {"thinkpace": f"ThinkBudget({limit}, answer_reserve=16)"}, stream=True)
            next(iter(stream))
            stream.close()
        else:
            control = (
                {"control": "ThinkBudget", "max_tokens": limit, "answer_reserve": 16},
                {"control": "BudgetForcing", "max_tokens": limit, "waits": 2, "answer_reserve": 16},
                {"control": "BudgetForcing", "min_tokens": limit, "max_tokens": limit + 10, "answer_reserve": 16},
            )[i % 3]
            others = [ThoughtSwitchPenalty().to_json(), StepBudget(50).to_json()][: i % 2 * 2]
            text = json.dumps({"controls": [*others, control]})
            samples = 1 + i % 2 if i % 3 else 1  # greedily vLLM takes one only
            made = ask(client, {"thinkpace": text}, temperature=(0.0, 0.7, 1.0)[i % 3], n=samples)
            for choice in made.choices:
                receipt = choice.model_extra["receipt"]
                assert receipt["thinking_tokens"] <= control["max_tokens"], (i, receipt)
                assert all(event["what"] != "diverged" for event in receipt["events"])
                if receipt["end"] in ("natural", "forced"):
                    assert receipt["thinking_tokens"] >= control.get("min_tokens", 0), (i, receipt)
                assert f"max_tokens={control['max_tokens']}" in receipt["armed"][-1]

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(one, range(200)))
    time.sleep(2)  # those that were cancelled have left
    left = {path.name for path in notes_folder().glob("[!.]*")}  # .patterns stays
    assert not left - before, "notes are taken away"
    metrics = urllib.request.urlopen(url.removesuffix("/v1") + "/metrics", timeout=10).read().decode()
    preempted = [line for line in metrics.splitlines() if line.startswith("vllm:num_preemptions_total")]
    assert preempted, "the test is about preemption"
    assert float(preempted[0].split()[-1]) > 0, preempted
