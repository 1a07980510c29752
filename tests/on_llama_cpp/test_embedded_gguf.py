"""The embedded model as GGUF is the embedded model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from embedded_gguf import write_all

from thinkpace import Request, Sampling
from thinkpace.adapters.hf.engine import HFEngine
from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine
from thinkpace.adapters.llama_cpp.native import Context, Feed, ModelFile
from thinkpace.adapters.llama_cpp.vocabulary import vocabulary_of
from thinkpace.eval import embedded
from thinkpace.processors.text.vocabulary import TokenIds

TOLERANCE = {"gguf": 1e-3, "gguf-q8_0": 0.5}  # largest difference of a logit from transformers'; measured 2e-5 and 0.2


def test_the_script_writes_the_files_that_ship(tmp_path: Path) -> None:
    for made in write_all(embedded.path("hf"), tmp_path):
        assert made.read_bytes() == (embedded.path("gguf").parent / made.name).read_bytes()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a=3;b=a+4",
        "<think>\n12 + 7\n</think>\n",
        "Wait, so  \n\n x",
        "ünïcode 漢字 🙂",
        "Final Answer: 7<|im_end|>",
    ],
)
def test_both_tokenizers_agree(text: str, engine: HFEngine) -> None:
    ours, theirs = vocabulary_of(embedded.path("gguf")), engine.vocabulary
    ids = ours.encode(text)
    assert ids == theirs.encode(text)
    assert ours.decode(ids) == text == theirs.decode(ids)


def test_both_vocabularies_mean_the_same(engine: HFEngine) -> None:
    ours, theirs = vocabulary_of(embedded.path("gguf")), engine.vocabulary
    assert ours.pieces[: theirs.size] == theirs.pieces
    assert ours.unused == frozenset(range(theirs.size, ours.size)) | theirs.unused
    assert theirs.eos <= ours.eos
    assert theirs.special | ours.eos == ours.special


@pytest.mark.parametrize("form", ["gguf", "gguf-q8_0"])
def test_logits_agree_within_the_stated_tolerance(form: str, engine: HFEngine, prompts: list[TokenIds]) -> None:
    file = ModelFile(embedded.path(form))  # type: ignore[arg-type]  # one of the two above
    context = Context(file, sequences=1, cells=1024, batch=512, cache_type="f32", flash_attention=False)
    for prompt in prompts[:8]:
        context.cut(0, 0)
        row = context.decode([Feed(0, prompt, 0)])[0]
        with torch.inference_mode():
            logits = engine.model(torch.tensor([prompt])).logits[0, -1].numpy()
        size = engine.vocabulary.size
        assert np.abs(row[:size] - logits[:size]).max() < TOLERANCE[form]
        assert row[:size].argmax() == logits[:size].argmax()
    context.close()


def test_the_quantised_form_answers_too(prompts: list[TokenIds]) -> None:
    quantised = LlamaCppEngine(embedded.path("gguf-q8_0"), parallel=8)
    made = quantised.generate([Request(p, (), 400, Sampling(0)) for p in prompts[:8]])
    assert all("Final Answer:" in one.answer for one in made)
