"""The suite that all engines pass, on the real engine: scheduler, batch, sampler and workers are vLLM's."""

from __future__ import annotations

import pytest
from support.conformance import CASES
from support.scripted_vllm import scripted_vllm
from vllm import LLM

from thinkpace import Request, Sampling, UnsupportedControl
from thinkpace.adapters.scripted import ScriptedEngine
from thinkpace.processors import compile_program
from thinkpace.testing import VOCABULARY, Case, run_case


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, scripted_llm: LLM) -> None:
    case = CASES[name]
    if any("trial" in control.statistics for control in case.controls):
        pytest.skip("a trial is a fork, and vLLM has no room for one")
    engine, seed = scripted_vllm(scripted_llm, case.markers), [*CASES].index(name)  # the number of its script
    try:
        compile_program(case.controls, VOCABULARY, case.markers)
    except UnsupportedControl:  # waits where the close is several tokens of plain text
        request = Request(case.prompt_ids, case.controls, case.limit, Sampling(temperature=0), seed)
        with pytest.raises(UnsupportedControl, match="plain text"):
            engine.generate([request])
        return
    if takes_back(case):
        pytest.skip("vLLM takes nothing back: the last token of the close is replaced or refused")
    run_case(case, engine, seed=seed)


def takes_back(case: Case) -> bool:
    """Whether a close is taken back by engines that can."""
    request = Request(case.prompt_ids, case.controls, case.limit, Sampling(temperature=0))
    [made] = ScriptedEngine(case.model, VOCABULARY, case.markers).generate([request])
    return any(event.what == "took back" for event in made.receipt.events)
