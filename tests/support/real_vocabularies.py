"""Real tokenizers from the shared data, loaded once."""

from __future__ import annotations

import functools
import gzip

import pytest

from support.places import SHARED
from thinkpace.adapters.vocabularies.hf import HFVocabulary

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not beside this checkout")
FILES = {
    "qwen3": ("derived/qwen3.tokenizer.json.gz", "<|im_end|>"),
    "qwen2.5": ("derived/qwen2.5.tokenizer.json.gz", "<|im_end|>"),
    "deepseek-v3-r1": ("deepseek/deepseek-v3-r1.tokenizer.json.gz", "<｜end▁of▁sentence｜>"),
}


@functools.cache
def vocabulary(name: str) -> HFVocabulary:
    """One of the tokenizers as a vocabulary."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    file, eos = FILES[name]
    backend = Tokenizer.from_str(gzip.decompress((SHARED / "tokenizers" / file).read_bytes()).decode())
    return HFVocabulary(PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=eos))
