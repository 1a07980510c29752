"""A plain hard cap is left to vLLM's own budget where that does the same, and the receipt says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.vllm_process import serving
from vllm import LLM

from thinkpace import BudgetForcing, Control, Markers, Request, Sampling, ThinkBudget
from thinkpace.adapters.vllm.engine import VLLMEngine
from thinkpace.adapters.vllm.terms import PROCESSOR
from thinkpace.eval import embedded
from thinkpace.eval.embedded import problems
from thinkpace.prompts import PROMPTS

MARKERS = Markers("<think>", "</think>")


@pytest.fixture(scope="module")
def llm() -> Iterator[LLM]:
    made = LLM(
        str(embedded.path("hf")), dtype="float32", enforce_eager=True, max_model_len=512, logits_processors=[PROCESSOR],
        reasoning_config={"reasoning_start_str": "<think>", "reasoning_end_str": "</think>"},
    )  # fmt: skip
    yield made
    made.llm_engine.engine_core.shutdown()


@pytest.fixture(scope="module")
def prompts(llm: LLM) -> list[tuple[int, ...]]:
    found = problems.examples("chain", 24, seed=5)
    return [VLLMEngine(llm).chat(PROMPTS["step-by-step"].render(example.question)) for example in found]


@pytest.mark.parametrize("limit", [0, 1, 5, 24])
def test_both_write_the_same(llm: LLM, prompts: list[tuple[int, ...]], limit: int) -> None:
    ours, native = VLLMEngine(llm, markers=MARKERS), VLLMEngine(llm, markers=MARKERS, native_caps=True)
    requests = [Request(prompt, (ThinkBudget(limit, answer_reserve=16),), 100, Sampling(0)) for prompt in prompts]
    for one, other in zip(ours.generate(requests), native.generate(requests), strict=True):
        assert (one.tokens, one.kinds, one.receipt.events) == (other.tokens, other.kinds, other.receipt.events)
        assert (one.receipt.enforced_by, other.receipt.enforced_by) == ("thinkpace", "vLLM")


@pytest.mark.parametrize(
    ("control", "limit"),
    [
        (ThinkBudget(5, min_tokens=3), 200),
        (ThinkBudget(5, landing=2), 200),
        (ThinkBudget(5, message="so"), 200),
        (ThinkBudget(5, answer_reserve=100), 104),  # the reserve closes earlier
        (ThinkBudget(), 200),
        (BudgetForcing(5), 200),
    ],
)
def test_what_it_cannot_do_is_ours(llm: LLM, prompts: list[tuple[int, ...]], control: Control, limit: int) -> None:
    engine = VLLMEngine(llm, markers=MARKERS, native_caps=True)
    [made] = engine.generate([Request(prompts[0], (control,), limit, Sampling(0))])
    assert made.receipt.enforced_by == "thinkpace"


def test_other_markers_are_refused_where_they_would_never_let_it(llm: LLM) -> None:
    """The model's template writes a line break after the close, which vLLM would not."""
    with pytest.raises(ValueError, match=r"native_caps would never hold.*Markers\('<think>', '</think>'\)"):
        VLLMEngine(llm, native_caps=True)


def test_over_http_a_completion_from_ids_is_left_to_it_too(
    llm: LLM, prompts: list[tuple[int, ...]], tmp_path: Path
) -> None:
    requests = [Request(prompt, (ThinkBudget(5, answer_reserve=16),), 100, Sampling(0)) for prompt in prompts]
    requests.append(Request(prompts[0], (ThinkBudget(5, min_tokens=2, answer_reserve=16),), 100, Sampling(0)))
    texts = {"reasoning_start_str": "<think>", "reasoning_end_str": "</think>"}
    ours = {"thinkpace": {"open": "<think>", "close": "</think>", "native_caps": True}}
    options = ["--reasoning-config", json.dumps(texts), "--additional-config", json.dumps(ours)]
    with serving(tmp_path, *options) as address:
        served = VLLMEngine.connect(address, tokenizer=str(embedded.path("hf")), markers=MARKERS)
        found = served.generate(requests)
    expected = VLLMEngine(llm, markers=MARKERS).generate(requests)
    for one, other in zip(found, expected, strict=True):
        assert (one.tokens, one.receipt.events, one.receipt.usage) == (
            other.tokens,
            other.receipt.events,
            other.receipt.usage,
        )
    assert [one.receipt.enforced_by for one in found] == ["vLLM"] * len(prompts) + ["thinkpace"]
