"""vLLM continues given output, and gives the generation that it would have given at once."""

from __future__ import annotations

import pytest
from support.continuing import CHAINS, cut, whole

from thinkpace import Control
from thinkpace.adapters.vllm.engine import VLLMEngine


@pytest.mark.parametrize("controls", CHAINS, ids=len)
def test_offline(vllm_engine: VLLMEngine, controls: tuple[Control, ...]) -> None:
    """Tokens and receipts, of nothing, of all and of what lies between."""
    pairs = whole(vllm_engine, controls, 0.0)
    assert vllm_engine.generate(cut(pairs)) == [made for _, made in pairs]


def test_no_number_is_drawn_twice(vllm_engine: VLLMEngine) -> None:
    """Its sampler has a stream for each request: going on begins another one."""
    [(request, made), *_] = whole(vllm_engine, (), 1.0)
    [same, *_] = cut([(request, made), (request, made)])
    assert vllm_engine.generate([same]) == [made], "from nothing it is the same"
