"""The suite that all engines pass, on the real engine: scheduler, batch, sampler and workers are vLLM's."""

from __future__ import annotations

import pytest
from conformance import CASES, prompt_of
from scripted_vllm import scripted_vllm
from vllm import LLM

from thinkpace.processors import Request, Sampling


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
def test_case(number: int, scripted_llm: LLM) -> None:
    case = CASES[number]
    if any("trial" in control.needs for control in case.controls):
        pytest.skip("a trial is a fork, and vLLM has no room for one")
    request = Request(prompt_of(case), case.controls, case.limit, Sampling(temperature=0), seed=number)
    [made] = scripted_vllm(scripted_llm, case.markers).generate([request])
    receipt = made.receipt
    assert made.text == case.text
    assert (receipt.thinking_tokens, receipt.end, receipt.waits) == (case.thinking_tokens, case.end, case.waits)
    assert receipt.diverged == 0
    assert made.finish_reason == ("stop" if case.text.endswith("<eos>") else "length")
