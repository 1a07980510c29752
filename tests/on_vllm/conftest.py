"""The real engine of vLLM on this machine's CPUs: the embedded model, and a scripted one."""

from __future__ import annotations

import os

# before vLLM is imported, here and in its worker processes
os.environ.update(VLLM_CPU_KVCACHE_SPACE="1", VLLM_LOGGING_LEVEL="ERROR", VLLM_DO_NOT_TRACK="1")

from collections.abc import Iterator
from pathlib import Path

import pytest
from vllm import LLM

from thinkpace.adapters.vllm_engine import VLLMEngine
from thinkpace.eval import embedded


@pytest.fixture(scope="session")
def vllm_engine() -> Iterator[VLLMEngine]:
    """The embedded model, in its own precision."""
    made = VLLMEngine.from_path(
        embedded.path("hf"), name=embedded.NAME, dtype="float32", enforce_eager=True, max_model_len=1024
    )
    yield made
    made.close()


@pytest.fixture(scope="session")
def scripted_llm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LLM]:
    """A model that says what the seed of a request tells it to say."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])  # where the workers find it
    from scripted_vllm import scripted_llm

    made = scripted_llm(tmp_path_factory.mktemp("words"))
    yield made
    made.llm_engine.engine_core.shutdown()
