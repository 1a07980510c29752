"""Greedily, vLLM and transformers make the same of every control."""

from __future__ import annotations

import pytest
from support.agreement import CONTROLS, PROBLEMS, differing

from thinkpace.adapters.hf.engine import HFEngine
from thinkpace.adapters.vllm.engine import VLLMEngine

#: a trial is a fork, and vLLM has no room for one
NAMES = [name for name, controls in CONTROLS.items() if not any("trial" in control.statistics for control in controls)]


@pytest.mark.parametrize("name", NAMES)
def test_same_tokens_and_receipts(name: str, engine: HFEngine, vllm_engine: VLLMEngine) -> None:
    found = differing(engine, vllm_engine, CONTROLS[name], 12)
    assert not found, found


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_same_tokens_and_receipts_on_many_problems(name: str, engine: HFEngine, vllm_engine: VLLMEngine) -> None:
    found = differing(engine, vllm_engine, CONTROLS[name], PROBLEMS)
    assert not found, found
