"""Generation that goes on from output that is there is the generation it would have been."""

from __future__ import annotations

from typing import Any

import pytest
from begun import CHAINS, cut, whole
from conftest import HAS_LLAMA_CPP

from thinkpace import Control
from thinkpace.processors import Request


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("controls", CHAINS, ids=len)
def test_hugging_face(engine: Any, controls: tuple[Control, ...], temperature: float) -> None:
    """Numbers depend on the seed and the position alone, so sampled ones are equal too, receipts and all."""
    pairs = whole(engine, controls, temperature)
    assert engine.generate(cut(pairs)) == [made for _, made in pairs]


@pytest.mark.skipif(not HAS_LLAMA_CPP, reason="needs llama-cpp-python: pip install '.[llama-cpp,serve]'")
@pytest.mark.parametrize("controls", CHAINS, ids=len)
def test_llama_cpp(llama_engine: Any, controls: tuple[Control, ...]) -> None:
    pairs = whole(llama_engine, controls, 0.0)
    assert llama_engine.generate(cut(pairs)) == [made for _, made in pairs]


@pytest.mark.skipif(not HAS_LLAMA_CPP, reason="needs llama-cpp-python: pip install '.[llama-cpp,serve]'")
def test_llama_cpp_draws_no_number_twice(llama_engine: Any) -> None:
    """Its samplers have a stream each: going on begins another one, or the same numbers would come once more."""
    [(request, made), *_] = whole(llama_engine, (), 1.0)
    [same] = cut([(request, made), (request, made)])[:1]
    assert llama_engine.generate([same]) == [made], "from nothing it is the same"


def test_more_than_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="begun holds 3 tokens, more than max_new_tokens=2"):
        Request((1,), max_new_tokens=2, begun=(1, 2, 3))
