"""The suite that all engines pass, on the real engine: scheduler, batch, sampler and workers are vLLM's."""

from __future__ import annotations

import pytest
from support.conformance import CASES
from support.scripted_vllm import scripted_vllm
from vllm import LLM

from thinkpace.testing import run_case


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, scripted_llm: LLM) -> None:
    case = CASES[name]
    if any("trial" in control.statistics for control in case.controls):
        pytest.skip("a trial is a fork, and vLLM has no room for one")
    # the seed of a request is the number of its script
    run_case(case, scripted_vllm(scripted_llm, case.markers), seed=[*CASES].index(name))
