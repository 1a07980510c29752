"""What each of vLLM's runners makes of our class."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from vllm.exceptions import VLLMValidationError
from vllm.v1.worker.gpu.sample.logits_processor import loader
from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsProcRequestState

from thinkpace.adapters.vllm_engine import PROCESSOR


def test_model_runner_v2_refuses_to_start_with_a_sentence() -> None:
    """Its own loader takes the class, which then says what to do."""
    states: Any = mock.create_autospec(LogitsProcRequestState, instance=True)
    with (
        mock.patch.object(loader.LogitsProcRequestState, "from_request_state", return_value=states),
        pytest.raises(ValueError, match="VLLM_USE_V2_MODEL_RUNNER=0"),
    ):
        loader.build_custom_logits_processors(mock.Mock(), mock.Mock(), False, [PROCESSOR])


def test_its_frontend_refuses_what_ours_does() -> None:
    from vllm import SamplingParams

    validate = loader.build_custom_logits_processors_params_validator([PROCESSOR])
    validate(SamplingParams(extra_args={"thinkpace": "LoopBreaker()"}))
    with pytest.raises(VLLMValidationError, match="thinkpace: unknown control"):
        validate(SamplingParams(extra_args={"thinkpace": "Nothing()"}))
