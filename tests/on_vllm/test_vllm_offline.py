"""`VLLMEngine` over an `LLM` of this process: what it asks of the loop of vLLM."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from support import first_answers

from thinkpace import Request, Sampling, ThinkBudget
from thinkpace.adapters.vllm.engine import VLLMEngine
from thinkpace.eval.embedded import problems
from thinkpace.eval.engines import open_engine
from thinkpace.prompts import STEP_BY_STEP


def requests(engine: VLLMEngine, count: int) -> list[Request]:
    return [
        Request(engine.chat(STEP_BY_STEP.render(example.question)), (ThinkBudget(30),), 120, Sampling(0))
        for example in problems.examples("chain", count, seed=5)
    ]


def llm_of(engine: VLLMEngine) -> Any:
    return engine._backend._llm  # type: ignore[attr-defined]


def test_the_time_of_the_first_answer_token(vllm_engine: VLLMEngine) -> None:
    first_answers.check(vllm_engine)


def test_an_interrupted_call_leaves_nothing_under_way(vllm_engine: VLLMEngine) -> None:
    """Its requests would go on in the next call, and their tokens would be nobody's."""
    asked = requests(vllm_engine, 8)
    whole = vllm_engine.generate(asked)
    core = llm_of(vllm_engine).llm_engine
    step, calls = core.step, list[int]()

    def interrupted() -> Any:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return step()

    with mock.patch.object(core, "step", interrupted), pytest.raises(KeyboardInterrupt):
        vllm_engine.generate(asked)
    assert not core.has_unfinished_requests()
    assert vllm_engine.generate(asked) == whole


def test_requests_of_others_are_not_taken(vllm_engine: VLLMEngine) -> None:
    """What was enqueued before is for whoever enqueued it."""
    llm = llm_of(vllm_engine)
    llm.enqueue([{"prompt_token_ids": [5, 6, 7]}], use_tqdm=False)
    with pytest.raises(RuntimeError, match="let it finish"):
        vllm_engine.generate(requests(vllm_engine, 1))
    assert len(llm.wait_for_completion(use_tqdm=False)) == 1
    assert vllm_engine.generate(requests(vllm_engine, 1))


def test_an_engine_that_does_not_start_is_a_sentence() -> None:
    """vLLM's worker says why in its log, and raises what says nothing."""
    failed = mock.patch.object(VLLMEngine, "from_path", side_effect=RuntimeError("Engine core initialization failed."))
    with failed, pytest.raises(ValueError, match=r"did not start with 'embedded' .*VLLM_CPU_KVCACHE_SPACE"):
        open_engine("embedded", "vllm", None)
