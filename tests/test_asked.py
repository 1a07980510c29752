"""Asked, but could it act? Every control on every engine and way of calling that runs here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.asked import EXAMPLES, ON_THINKING, SITUATIONS, check

from thinkpace import Receipt, Request, Sampling, ThinkBudget
from thinkpace.adapters.hf import logits_processors
from thinkpace.adapters.scripted import ScriptedEngine
from thinkpace.processors.controls import CONTROLS
from thinkpace.testing import VOCABULARY, Case
from thinkpace.testing.scripted_hf import ScriptedHF, WordTokenizer, hf_engine

Call = Callable[[Case, Path], Receipt]


def _request(case: Case) -> Request:
    return Request(case.prompt_ids, case.controls, case.limit, Sampling(temperature=0), 0)


def scripted(case: Case, _folder: Path) -> Receipt:
    [done] = ScriptedEngine(case.model, VOCABULARY, case.markers).generate([_request(case)])
    return done.receipt


def hf(case: Case, _folder: Path) -> Receipt:
    [done] = hf_engine(case).generate([_request(case)])
    return done.receipt


def hf_generate(case: Case, _folder: Path) -> Receipt:
    model = ScriptedHF(case.model, VOCABULARY, len(case.prompt_ids))
    ours = logits_processors(WordTokenizer(VOCABULARY), *case.controls, temperature=0, markers=case.markers)
    ids = torch.tensor([case.prompt_ids])
    out = model.generate(ids, logits_processor=ours, max_new_tokens=case.limit, do_sample=False)  # type: ignore[misc]  # untyped
    [receipt] = ours.receipts(out)
    return receipt


def llama_cpp(case: Case, folder: Path) -> Receipt:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: see docs/llama_cpp.md")
    from support.scripted_llama import scripted_llama

    engine = scripted_llama(folder, case.model, VOCABULARY, len(case.prompt_ids), case.markers)
    [done] = engine.generate([_request(case)])
    return done.receipt


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where models are made up, one for all cases."""
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize("call", [scripted, hf, hf_generate, llama_cpp])
@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_receipt_says_whether_it_could_act(name: str, situation: str, call: Call, folder: Path) -> None:
    control = EXAMPLES[name]
    check(control, situation, call(replace(SITUATIONS[situation][0], controls=(control,)), folder))


def test_the_table_knows_every_control() -> None:
    assert {kind.__name__ for kind in CONTROLS} == set(EXAMPLES)
    assert set(EXAMPLES) >= ON_THINKING


@pytest.mark.parametrize("limit", [None, 0])
def test_a_budget_that_asks_for_no_thinking_is_held_without(limit: int | None, folder: Path) -> None:
    """Without a limit it asks for nothing; with one of 0, for what is so."""
    case = replace(SITUATIONS["it never is"][0], controls=(ThinkBudget(limit, answer_reserve=0),))
    assert scripted(case, folder).held == "held"
