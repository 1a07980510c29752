"""Continued generation equals generation at once."""

from __future__ import annotations

from typing import Any

import pytest
from support.continuing import CHAINS, cut, whole
from support.places import HAS_LLAMA_CPP

from thinkpace import Control, Request


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("controls", CHAINS, ids=len)
def test_hugging_face(engine: Any, controls: tuple[Control, ...], temperature: float) -> None:
    """Numbers depend on the seed and the position alone, so sampled ones are equal too, receipts and all."""
    pairs = whole(engine, controls, temperature)
    assert engine.generate(cut(pairs)) == [made for _, made in pairs]


def test_hugging_face_reads_what_rows_share_once(engine: Any) -> None:
    """Ten cuts of two runs: their beginnings are read once each, and they end as the runs did."""
    pairs = whole(engine, (), 0.0)[:2]
    cuts = [cut([pair] * 7)[share] for share in range(1, 6) for pair in pairs]
    read = list[int]()
    hook = engine.model.base_model.register_forward_pre_hook(
        lambda _module, _arguments, named: read.append(named["input_ids"].shape[1]), with_kwargs=True
    )
    try:
        made = engine.generate(cuts)
    finally:
        hook.remove()
    assert made == [made for _ in range(5) for _, made in pairs]
    assert read[0] == max(len(request.prompt + request.continue_from) for request in cuts)
    assert set(read[1:]) == {1}, "of every row there is all but its last token"


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
    with pytest.raises(ValueError, match="continue_from holds 3 tokens, more than max_new_tokens=2"):
        Request((1,), max_new_tokens=2, continue_from=(1, 2, 3))
