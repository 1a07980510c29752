"""Rows that begin alike are read once, and it makes no difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM
from transformers.models.bloom import BloomConfig
from transformers.models.gpt2 import GPT2Config
from transformers.models.llama import LlamaConfig
from transformers.models.mamba import MambaConfig
from transformers.models.mistral import MistralConfig
from transformers.models.phi3 import Phi3Config
from transformers.models.qwen3 import Qwen3Config

from thinkpace.adapters.hf.prefix_cache import shared_cache, trunks

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 50,
}
CONFIGS: dict[str, tuple[Any, bool]] = {
    "llama": (LlamaConfig(**SMALL, num_key_value_heads=1), True),
    "qwen3": (Qwen3Config(**SMALL, num_key_value_heads=1, head_dim=16), True),
    "gpt2": (GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=50), True),
    "mistral": (MistralConfig(**SMALL, num_key_value_heads=1, sliding_window=4), False),  # its cache forgets
    "phi3": (
        Phi3Config(
            **SMALL,
            num_key_value_heads=1,
            pad_token_id=0,
            original_max_position_embeddings=12,
            rope_parameters={
                "rope_type": "longrope",
                "rope_theta": 10000.0,
                "short_factor": [1.0] * 8,
                "long_factor": [4.0] * 8,
            },
        ),
        False,
    ),  # turns otherwise once it is long
    "bloom": (BloomConfig(hidden_size=32, n_layer=2, n_head=2, vocab_size=50), False),  # takes no positions
    "mamba": (MambaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=50), False),  # no state of every token
}
TRUNK = tuple(range(1, 20))
ROWS = [TRUNK[:5], (*TRUNK[:9], 33), TRUNK, (40, 41, 42), TRUNK[:1], (40, 41, 7)]


def padded(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, rows))
    ids = [[0] * (width - len(row)) + list(row) for row in rows]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids), torch.tensor(mask)


@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_the_same_logits(name: str) -> None:
    config, can = CONFIGS[name]
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    cache = shared_cache(model, ROWS, padded)
    assert (cache is not None) == can
    if cache is None:
        return
    ids, mask = padded(ROWS)
    asked = {"attention_mask": mask, "max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    told = {"return_dict_in_generate": True, "output_logits": True}
    plain = model.generate(ids, **asked, **told)
    shared = model.generate(ids, **asked, **told, past_key_values=cache)
    assert torch.equal(plain.sequences, shared.sequences)
    torch.testing.assert_close(torch.stack(plain.logits), torch.stack(shared.logits), atol=1e-4, rtol=1e-4)


def test_nothing_to_share() -> None:
    model = AutoModelForCausalLM.from_config(CONFIGS["llama"][0])
    assert shared_cache(model, [(1, 2, 3), (2, 2, 3)], padded) is None
    assert shared_cache(model, [(1,), (1,)], padded) is None, "the only token is fed anyway"


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6).map(tuple), min_size=1, max_size=8))
def test_every_row_is_in_its_trunk(rows: list[tuple[int, ...]]) -> None:
    read, source = trunks(rows)
    assert len(set(read)) == len(read)
    assert {*source} == {*range(len(read))}, "nothing is read in vain"
    for row, trunk in zip(rows, source, strict=True):
        assert rows[read[trunk]][: len(row) - 1] == row[:-1]
