"""One suite for all engines: the same model and controls give the same tokens and receipts."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from conformance import CASES, Case, prompt_of
from scripted_hf import ScriptedHF, WordTokenizer
from strategies import VOCABULARY

from thinkpace.adapters.hf.engine import HFEngine
from thinkpace.adapters.scripted import Model, ScriptedEngine, says
from thinkpace.processors import Engine, Request, Sampling

SCRATCH = tempfile.TemporaryDirectory(prefix="thinkpace-")


def scripted(model: Model, case: Case) -> Engine:
    return ScriptedEngine(model, VOCABULARY, case.markers)


def hugging_face(model: Model, case: Case) -> Engine:
    fake = ScriptedHF(model, VOCABULARY, len(prompt_of(case)), width=VOCABULARY.size + 3)
    return HFEngine(fake, WordTokenizer(VOCABULARY), markers=case.markers)


def llama_cpp(model: Model, case: Case) -> Engine:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: pip install '.[llama-cpp]'")
    from scripted_llama import scripted_llama

    return scripted_llama(Path(SCRATCH.name), model, VOCABULARY, len(prompt_of(case)), case.markers)


@pytest.mark.parametrize("build", [scripted, hugging_face, llama_cpp])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, build) -> None:  # type: ignore[no-untyped-def]  # one of the three above
    model = says(VOCABULARY.encode(case.says), VOCABULARY.size, min(VOCABULARY.eos))
    request = Request(prompt_of(case), case.controls, case.limit, Sampling(temperature=0))
    [made] = build(model, case).generate([request])
    receipt = made.receipt
    assert made.text == case.text
    assert (receipt.thinking_tokens, receipt.end, receipt.waits) == (case.thinking_tokens, case.end, case.waits)
    assert receipt.usage.completion == len(made.tokens)
    assert receipt.usage.prompt == len(request.prompt)
    assert receipt.diverged == 0
    kinds = made.kinds
    assert receipt.usage.thinking == kinds.count("thinking")
    assert receipt.usage.forced == kinds.count("injected") + kinds.count("closing")
    assert receipt.usage.marker == kinds.count("marker")
    assert receipt.usage.answer == kinds.count("answer")
    assert made.finish_reason == ("stop" if case.text.endswith("<eos>") else "length")


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_engines_agree_token_for_token_when_sampling(temperature: float) -> None:
    """The same seeds draw the same tokens on both engines: they share the sampler's arithmetic, not its code."""
    import numpy as np

    def model(_prompt, output):  # type: ignore[no-untyped-def]  # a Model
        return np.random.default_rng([len(output), *output[-2:]]).normal(size=VOCABULARY.size)

    case = next(case for case in CASES if case.name == "one wait")
    sampling = Sampling(temperature, top_p=0.95, top_k=8)
    requests = [Request(prompt_of(case), case.controls, 25, sampling, seed) for seed in range(40)]
    one, other = scripted(model, case).generate(requests), hugging_face(model, case).generate(requests)
    assert [(c.tokens, c.receipt) for c in one] == [(c.tokens, c.receipt) for c in other]
    assert temperature == 0 or len({c.tokens for c in one}) > 10
