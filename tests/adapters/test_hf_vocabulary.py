"""Real tokenizers and real chat templates, where the shared data is there."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from conftest import SHARED
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from thinkpace import BudgetForcing, Markers, UnsupportedControl
from thinkpace.adapters.hf_vocabulary import HFVocabulary, find_markers
from thinkpace.processors import compile_program, replay

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not beside this checkout")
VOCABULARIES = {
    "qwen3": ("derived/qwen3.tokenizer.json.gz", "<|im_end|>"),
    "qwen2.5": ("derived/qwen2.5.tokenizer.json.gz", "<|im_end|>"),
    "deepseek-v3-r1": ("deepseek/deepseek-v3-r1.tokenizer.json.gz", "<｜end▁of▁sentence｜>"),
}


@pytest.fixture(scope="module", params=list(VOCABULARIES))
def named(request: pytest.FixtureRequest) -> tuple[str, HFVocabulary]:
    file, eos = VOCABULARIES[request.param]
    backend = Tokenizer.from_str(gzip.decompress((SHARED / "tokenizers" / file).read_bytes()).decode())
    return request.param, HFVocabulary(PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=eos))


@needs_shared
def test_forced_strings_have_the_known_ids(named: tuple[str, HFVocabulary]) -> None:
    name, vocabulary = named
    known = json.loads((SHARED / "tokenizers" / "derived" / "forced_string_ids.json").read_text())[name]
    assert {text: list(vocabulary.encode(text)) for text in known} == known


@needs_shared
def test_budget_forcing_on_a_real_vocabulary(named: tuple[str, HFVocabulary]) -> None:
    """Also where the markers are ordinary tokens (Qwen2.5): the close is seen with the line breaks merged into it."""
    _, vocabulary = named
    markers = Markers("<think>", "</think>", "</think>\n\n")
    program = compile_program([BudgetForcing(max_tokens=8)], vocabulary, markers)
    prompt = vocabulary.encode("Q<think>\n")
    forced = replay(program, prompt, vocabulary.encode("one two three four five six seven eight"))
    assert vocabulary.decode(forced.pending) == "</think>\n\nFinal Answer:"
    for ending in ("</think>", "</think>\n", "</think>\n\n", "\n</think>\n\n"):
        state = replay(program, prompt, vocabulary.encode(f"so{ending}"))
        receipt = program.receipt(state, len(prompt))
        assert (receipt.end, receipt.thinking_tokens <= 2) == ("natural", True), ending


class Template:
    """A chat template that renders as transformers does, without a tokenizer."""

    def __init__(self, chat_template: str | None) -> None:
        self.chat_template = chat_template

    def apply_chat_template(self, messages: list[dict[str, str]], tokenize: bool, **arguments: Any) -> str:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = lambda value, **_: json.dumps(value)
        environment.globals["raise_exception"] = lambda text: (_ for _ in ()).throw(ValueError(text))
        environment.globals["strftime_now"] = lambda _: "2026-01-02"
        template = environment.from_string(self.chat_template or "")
        return template.render(messages=messages, bos_token="<BOS>", eos_token="<EOS>", tools=None, **arguments)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (None, "no chat template"),
        ("{{ messages }}", "names no thinking tags"),
        ("<think></think><thought></thought>", "2 pairs"),
    ],
)
def test_no_markers(template: str | None, reason: str) -> None:
    with pytest.raises(UnsupportedControl, match=reason):
        find_markers(Template(template))
