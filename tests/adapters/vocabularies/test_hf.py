"""Real tokenizers and real chat templates, where the shared data is there."""

from __future__ import annotations

import json
import random

import pytest
from support.places import SHARED
from support.real_vocabularies import FILES, needs_shared, vocabulary

from thinkpace import BudgetForcing, Markers, UnsupportedControl
from thinkpace.adapters.vocabularies.hf import HFVocabulary, find_markers
from thinkpace.processors import compile_program, replay


@pytest.fixture(params=list(FILES))
def named(request: pytest.FixtureRequest) -> tuple[str, HFVocabulary]:
    return request.param, vocabulary(request.param)


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


@needs_shared
def test_what_is_written_is_its_own_ids_whatever_stands_before(named: tuple[str, HFVocabulary]) -> None:
    """Joined as text, these pairs are spelled otherwise: nothing may go through text and back."""
    name, words = named
    pairs = json.loads((SHARED / "tokenizers" / "derived" / "boundary_merge_hazards.json").read_text())[name]
    assert len(pairs) >= 15
    markers, writable = Markers("<think>", "</think>"), 0
    for before, after in pairs:
        assert words.encode(before + after) != words.encode(before) + words.encode(after)
        if not after.strip() or "think>" in before + after:
            continue
        program = compile_program([BudgetForcing(0, final=after)], words, markers)
        state = replay(program, words.encode("Q\n<think>\n" + before), ())
        assert state.pending[-len(words.encode(after)) :] == words.encode(after)
        writable += 1
    assert writable


@needs_shared
def test_pieces_are_the_bytes_of_a_text(named: tuple[str, HFVocabulary]) -> None:
    _, words = named
    for text in ("Wait, so 3.14 × 漢字 🤔!\n\n", "</think>\n\nFinal Answer: é", "\tnaïve   spaces "):
        ids = words.encode(text)
        assert b"".join(words.pieces[i] for i in ids).decode() == text
    rng, used = random.Random(0), [i for i in range(words.size) if i not in words.unused]
    for _ in range(200):
        ids = tuple(rng.choices(used, k=3))
        assert b"".join(words.pieces[i] for i in ids).decode(errors="replace") == words.decode(ids)


def test_a_sentencepiece_tokenizer_has_its_bytes_too() -> None:
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    known = {"<unk>": 0, "</s>": 1, "▁Wait": 2, "ing": 3, "<0xE6>": 4, "<0xBC>": 5, "<0xA2>": 6, "<0x0A>": 7}
    backend = Tokenizer(models.BPE(vocab=known, merges=[], unk_token="<unk>", byte_fallback=True))
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    words = HFVocabulary(PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>"))
    assert words.pieces[2:] == (b" Wait", b"ing", b"\xe6", b"\xbc", b"\xa2", b"\n")


def test_a_tokenizer_whose_bytes_cannot_be_told_is_refused() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel(vocab={"a": 0, "</s>": 1}, unk_token="a"))
    words = HFVocabulary(PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>"))
    with pytest.raises(UnsupportedControl, match="bytes of this tokenizer's tokens cannot be told"):
        words.pieces  # noqa: B018  # a property that raises


class Bare:
    """A tokenizer with nothing but a template."""

    def __init__(self, chat_template: str | None) -> None:
        self.chat_template = chat_template


def test_markers_of_a_tokenizer() -> None:
    found = find_markers(Bare("{{ bos_token }}{% if add_generation_prompt %}<think>{% endif %}{# </think> #}"))
    assert (found.open, found.close, found.opened_by_prompt) == ("<think>", "</think>", None), "read from each prompt"
    with pytest.raises(UnsupportedControl, match="no chat template"):
        find_markers(Bare(None))
