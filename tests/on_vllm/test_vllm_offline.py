"""`VLLMEngine` over an `LLM` of this process: what it asks of the loop of vLLM."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from support import first_answers
from vllm import LLM

from thinkpace import Markers, Request, Sampling, ThinkBudget
from thinkpace.adapters.vllm.engine import VLLMEngine
from thinkpace.adapters.vllm.terms import PROCESSOR
from thinkpace.eval import embedded
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


def test_a_model_without_known_markers_does_not_start(tmp_path: Path) -> None:
    """D37: each request came back as an empty text that had stopped by itself, and only a log said why."""
    for file in embedded.path("hf").iterdir():
        if not file.name.startswith("chat_template"):
            shutil.copy(file, tmp_path)
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps({k: v for k, v in json.loads(config.read_text()).items() if k != "chat_template"}))
    options: dict[str, Any] = {"dtype": "float32", "enforce_eager": True, "max_model_len": 256}
    with pytest.raises(RuntimeError):  # vLLM's; the reason is in the worker's log
        LLM(str(tmp_path), logits_processors=[PROCESSOR], **options)
    engine = VLLMEngine.from_path(tmp_path, markers=Markers("<think>", "</think>"), **options)
    prompt = engine.vocabulary.encode("<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n<think>\n")
    [done] = engine.generate([Request(prompt, (ThinkBudget(3, answer_reserve=9),), 20, Sampling(0))])
    assert done.receipt.thinking_tokens == 3
    engine.close()
