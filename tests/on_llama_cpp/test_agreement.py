"""Greedily, llama.cpp and transformers make the same of every control."""

from __future__ import annotations

import pytest
from support.agreement import CONTROLS, PROBLEMS, differing

from thinkpace.adapters.hf.engine import HFEngine
from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine


@pytest.mark.parametrize("name", CONTROLS)
def test_same_tokens_and_receipts(name: str, engine: HFEngine, llama_engine: LlamaCppEngine) -> None:
    found = differing(engine, llama_engine, CONTROLS[name], 12)
    assert not found, found


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", CONTROLS)
def test_same_tokens_and_receipts_on_many_problems(name: str, engine: HFEngine, llama_engine: LlamaCppEngine) -> None:
    found = differing(engine, llama_engine, CONTROLS[name], PROBLEMS)
    assert not found, found
