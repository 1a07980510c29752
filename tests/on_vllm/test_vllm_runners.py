"""What each of vLLM's runners makes of our class."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from vllm import SamplingParams
from vllm.exceptions import VLLMValidationError
from vllm.v1.worker.gpu.sample.logits_processor import loader
from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsProcRequestState

from thinkpace import ConfidenceExit, Control, ThinkBudget
from thinkpace.adapters.vllm.logits_processor import ThinkpaceLogitsProcessor
from thinkpace.adapters.vllm.notes import close_notes, open_notes, read_notes
from thinkpace.adapters.vllm.served_model import ServedModel
from thinkpace.adapters.vllm.terms import KEY, PROCESSOR, WireRequest, extra_args
from thinkpace.testing import MARKERS, VOCABULARY
from thinkpace.testing.scripted_hf import WordTokenizer


@pytest.fixture
def on_v2() -> Any:
    """Our class, as the loader of Model Runner V2 makes it; all slots hold a prompt of two tokens."""
    tokens = torch.tensor([[*VOCABULARY.encode("Q<t>"), 0, 0]] * 4, dtype=torch.int32)
    two = SimpleNamespace(np=np.full(4, 2), gpu=torch.full((4,), 2))
    states: Any = mock.create_autospec(LogitsProcRequestState, instance=True)
    states.device, states.max_num_reqs = torch.device("cpu"), 4
    states.all_token_ids, states.total_len = SimpleNamespace(gpu=tokens), two
    states.prompt_len = states.prefill_len = two
    model = ServedModel(WordTokenizer(VOCABULARY), (), 256, MARKERS[0])
    config = mock.Mock(speculative_config=None)
    with (
        mock.patch.object(loader.LogitsProcRequestState, "from_request_state", return_value=states),
        mock.patch.object(ServedModel, "of", return_value=model),
    ):
        [made] = loader.build_custom_logits_processors(config, mock.Mock(), False, [PROCESSOR])
    return made


def params(*controls: Control, **fields: Any) -> SamplingParams:
    return SamplingParams(temperature=0, max_tokens=200, extra_args=extra_args(*controls), **fields)


def context(*slots: int) -> Any:
    each = torch.tensor(slots)
    return SimpleNamespace(
        expanded_idx_mapping=each, idx_mapping=each, idx_mapping_np=np.array(slots),
        expanded_local_pos=torch.zeros_like(each), input_ids=torch.zeros_like(each),
    )  # fmt: skip


def test_model_runner_v2_takes_it_and_says_what_has_not_been_tested(
    caplog: pytest.LogCaptureFixture, on_v2: Any
) -> None:
    assert "not on a GPU" in " ".join(record.message for record in caplog.get_records("setup"))
    assert on_v2.add_request(0, SamplingParams()) is False
    assert on_v2.add_request(1, params(ThinkBudget(0))) is True
    on_v2.apply_staged_writes()
    logits = torch.zeros(2, VOCABULARY.size + 1)
    logits[:, 6] = 5.0
    before = logits.clone()
    after = on_v2.apply(logits, context(0, 1))
    assert torch.equal(after[0], before[0])  # it asked for nothing
    assert int(after[1].argmax()) == VOCABULARY.encode("</t>")[0]


def test_a_batch_that_asks_for_nothing_is_not_looked_at(on_v2: Any) -> None:
    on_v2.add_request(0, SamplingParams())
    on_v2.apply_staged_writes()
    with mock.patch.object(torch, "as_tensor", side_effect=AssertionError):
        logits = torch.zeros(1, VOCABULARY.size)
        assert on_v2.apply(logits, context(0)) is logits


def test_what_cannot_work_there_ends_its_own_request(caplog: pytest.LogCaptureFixture, on_v2: Any) -> None:
    for slot, control in enumerate((ConfidenceExit("trial"), ThinkBudget(9, answer_reserve=500), ThinkBudget(9))):
        on_v2.add_request(slot, params(control))
    on_v2.apply_staged_writes()
    logits = torch.zeros(3, VOCABULARY.size)
    logits[:, 6] = 5.0
    assert on_v2.apply(logits, context(0, 1, 2)).argmax(1).tolist() == [*[min(VOCABULARY.eos)] * 2, 6]
    assert "a fork" in caplog.text
    assert "leaves no room" in caplog.text


def test_there_are_no_receipts_there_and_the_notes_say_so(on_v2: Any) -> None:
    name = open_notes()
    try:
        asked = SamplingParams(max_tokens=200, extra_args={KEY: WireRequest((ThinkBudget(9),), receipt=name).text()})
        on_v2.add_request(0, asked)
        [noted] = read_notes(name)
        assert "keeps no receipts" in str(noted.declined)
        assert noted.error is None  # the controls hold
    finally:
        close_notes(name)


def test_its_frontend_refuses_what_ours_does() -> None:
    validate = loader.build_custom_logits_processors_params_validator([PROCESSOR])
    validate(SamplingParams(extra_args={"thinkpace": "LoopBreaker()"}))
    with pytest.raises(VLLMValidationError, match="thinkpace: unknown control") as caught:
        validate(SamplingParams(extra_args={"thinkpace": "Nothing()"}))
    assert caught.value.parameter == "vllm_xargs.thinkpace"  # which the server answers as `param`
    with pytest.raises(VLLMValidationError, match="ignore_eos continues") as caught:
        validate(SamplingParams(extra_args={"thinkpace": "LoopBreaker()"}, ignore_eos=True))
    assert caught.value.parameter == "ignore_eos"


@pytest.mark.parametrize("device", [torch.device("cpu"), mock.Mock()], ids=["V1", "V2"])
def test_without_markers_it_does_not_start(device: Any) -> None:
    """D37: every request with controls ended at once, and only a log said why."""
    model = ServedModel(WordTokenizer(VOCABULARY), (), 256)
    says = r"'thinkpace': {'open': '<think>', 'close': '</think>'}.*'markers_in_requests': True"
    with mock.patch.object(ServedModel, "of", return_value=model), pytest.raises(ValueError, match=says):
        ThinkpaceLogitsProcessor(mock.Mock(speculative_config=None), device)
