"""The scripted model behind the real engine of vLLM: same logits, the whole real scheduler and sampler around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM
from vllm import LLM

from support.asked import SITUATIONS
from support.conformance import CASES
from thinkpace import Markers
from thinkpace.adapters.vllm.engine import VLLMEngine
from thinkpace.adapters.vllm.live_sequence import LiveSequence
from thinkpace.adapters.vllm.logits_processor import ThinkpaceLogitsProcessor
from thinkpace.adapters.vllm.served_model import ServedModel
from thinkpace.testing import VOCABULARY
from thinkpace.testing.scripted_hf import WordTokenizer

WIDTH = 32  # of the logits: ids beyond the vocabulary are the likeliest
SCRIPTS = [case.model for case in (*CASES.values(), *(case for case, _ in SITUATIONS.values()))]


def served(_config: Any, markers: Markers | None = None, _native_caps: bool = False) -> ServedModel:
    return ServedModel(WordTokenizer(VOCABULARY), (), 256, markers, markers_in_requests=True)


class Scripted(ThinkpaceLogitsProcessor):
    """Puts the script's logits where the model's were; the seed of a request is the number of its script."""

    def __init__(self, *arguments: Any) -> None:
        with mock.patch.object(ServedModel, "of", served):
            super().__init__(*arguments)

    def apply(self, logits: torch.Tensor, ctx: Any = None) -> torch.Tensor:
        for row, sequence in self._on_host._rows:
            assert isinstance(sequence, LiveSequence)
            logits[row] = 20.0
            made = SCRIPTS[sequence.seed](sequence.prompt, sequence.live)
            logits[row, : VOCABULARY.size] = torch.as_tensor(made, dtype=logits.dtype)
        return super().apply(logits, ctx)


def scripted_llm(folder: Path) -> LLM:
    """A model that says what the seed of a request tells it to say."""
    eos = min(VOCABULARY.eos)
    config = Qwen3Config(
        vocab_size=WIDTH, hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=32, max_position_embeddings=256, eos_token_id=eos, bos_token_id=None,
    )  # fmt: skip
    Qwen3ForCausalLM(config).save_pretrained(folder)
    return LLM(str(folder), skip_tokenizer_init=True, dtype="float32", enforce_eager=True, logits_processors=[Scripted])


def scripted_vllm(llm: LLM, markers: Markers) -> VLLMEngine:
    """The engine around it, for a model with these markers."""
    with mock.patch.object(ServedModel, "of", served):
        return VLLMEngine(llm, markers=markers)
