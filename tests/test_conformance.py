"""One suite for all engines: the same model and controls give the same tokens and receipts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.conformance import CASES

from thinkpace import Engine, Request, Sampling
from thinkpace.adapters.scripted import ScriptedEngine
from thinkpace.testing import VOCABULARY, Case, run_case
from thinkpace.testing.scripted_hf import hf_engine

Build = Callable[[Case, Path], Engine]


def scripted(case: Case, _folder: Path) -> Engine:
    return ScriptedEngine(case.model, VOCABULARY, case.markers)


def hugging_face(case: Case, _folder: Path) -> Engine:
    return hf_engine(case)


def llama_cpp(case: Case, folder: Path) -> Engine:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: see docs/llama_cpp.md")
    from support.scripted_llama import scripted_llama

    return scripted_llama(folder, case.model, VOCABULARY, len(case.prompt_ids), case.markers)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where models are made up, one for all cases."""
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize("build", [scripted, hugging_face, llama_cpp])
@pytest.mark.parametrize("name", CASES)
def test_case(name: str, build: Build, folder: Path) -> None:
    run_case(CASES[name], build(CASES[name], folder))


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_engines_agree_token_for_token_when_sampling(temperature: float, folder: Path) -> None:
    """The same seeds draw the same tokens on both engines: they share the sampler's arithmetic, not its code."""
    import numpy as np

    class Drawn(Case):
        @property
        def model(self):  # type: ignore[no-untyped-def]  # a Model
            def row(_prompt, output):  # type: ignore[no-untyped-def]
                return np.random.default_rng([len(output), *output[-2:]]).normal(size=VOCABULARY.size)

            return row

    known = CASES["one wait"]
    case = Drawn(known.says, known.text, known.thinking_tokens, known.end, known.controls)
    sampling = Sampling(temperature, top_p=0.95, top_k=8)
    requests = [Request(case.prompt_ids, case.controls, 25, sampling, seed) for seed in range(40)]
    one, other = scripted(case, folder).generate(requests), hugging_face(case, folder).generate(requests)
    assert [(c.tokens, c.receipt) for c in one] == [(c.tokens, c.receipt) for c in other]
    assert temperature == 0 or len({c.tokens for c in one}) > 10
