"""Ways of calling `generate` in which a logits processor sees too little: made right, or refused with what to do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration, StoppingCriteria, StoppingCriteriaList

from thinkpace import Markers, ThinkBudget, UnsupportedControl
from thinkpace.adapters.hf.engine import HFEngine
from thinkpace.adapters.hf.logits_processor import ThinkpaceLogitsProcessorList, logits_processors
from thinkpace.adapters.scripted import says
from thinkpace.testing import VOCABULARY
from thinkpace.testing.scripted_hf import ScriptedHF, WordTokenizer

ONE = Markers("<t>", "</t>")
EOS = min(VOCABULARY.eos)


def scripted(text: str) -> ScriptedHF:
    return ScriptedHF(says(VOCABULARY.encode(text), VOCABULARY.size, EOS), VOCABULARY, 2)


def processors(budget: int, markers: Markers = ONE, **arguments: Any) -> ThinkpaceLogitsProcessorList:
    control = ThinkBudget(budget, answer_reserve=0)
    return logits_processors(WordTokenizer(VOCABULARY), control, temperature=0, markers=markers, **arguments)


class StopRows(StoppingCriteria):
    """Stops row i at its own number of ids."""

    def __init__(self, *lengths: int) -> None:
        self.lengths = torch.tensor(lengths)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return input_ids.shape[1] >= self.lengths


@pytest.mark.parametrize("pad", ["7", "<eos>"])
def test_padding_of_a_stopped_row_is_not_counted(pad: str) -> None:
    """Row 0 is stopped after 4 tokens; the pads after them are neither thinking nor divergences, nor its end."""
    ids = torch.tensor([VOCABULARY.encode("Q<t>")] * 2)
    ours, pad_id = processors(8), VOCABULARY.words.index(pad)
    out = scripted(20 * "a" + "</t>7").generate(  # type: ignore[misc]  # untyped
        ids,
        logits_processor=ours,
        stopping_criteria=StoppingCriteriaList([StopRows(6, 99)]),
        max_new_tokens=16,
        do_sample=False,
        pad_token_id=pad_id,
        eos_token_id=EOS,
    )
    assert out[0, 6:].tolist() == [pad_id] * 12
    first, second = ours.receipts(out)
    assert (first.thinking_tokens, first.end, first.finished, first.diverged) == (4, "open", False, 0)
    assert first.usage.completion == 4
    assert (second.thinking_tokens, second.end, second.diverged) == (8, "forced", 0)


def test_stop_strings_stop_a_row(engine: HFEngine) -> None:
    """The same for stop strings, on a real tokenizer whose pad may be its end of sequence."""
    tokenizer = engine.tokenizer
    prompts = [engine.chat([{"role": "user", "content": f"Modulo 10: a={a};b=a*3;c=b+9; c=?"}]) for a in (7, 4)]
    ids = torch.tensor(prompts)
    ours = logits_processors(tokenizer, ThinkBudget(40, answer_reserve=4), temperature=0)
    settings = {"max_new_tokens": 60, "do_sample": False, "pad_token_id": tokenizer.eos_token_id}
    with torch.no_grad():
        alone = engine.model.generate(ids, logits_processor=ours, **settings)
        stop = tokenizer.decode(alone[0, ids.shape[1] + 2 : ids.shape[1] + 4])
        assert stop not in tokenizer.decode(alone[1, ids.shape[1] :])
        out = engine.model.generate(ids, logits_processor=ours, stop_strings=[stop], tokenizer=tokenizer, **settings)
    receipt = ours.receipts(out)[0]
    assert receipt.usage.completion == 4
    assert not receipt.finished


def test_left_pads_of_any_id_are_no_prompt() -> None:
    """The attention mask says what pads; a prompt may begin with the tokenizer's pad id."""
    wait = VOCABULARY.words.index("Wait")
    ids = torch.tensor([[wait, wait, *VOCABULARY.encode("Q<t>")], [EOS, EOS, *VOCABULARY.encode("Q<t>")]])
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    ours = processors(2)
    out = scripted("aaaa</t>7").generate(  # type: ignore[misc]  # untyped
        ids, attention_mask=mask, logits_processor=ours, max_new_tokens=9, do_sample=False, eos_token_id=EOS
    )
    assert [receipt.usage.prompt for receipt in ours.receipts(out)] == [2, 4]


def test_embeddings_without_ids_are_refused_unless_the_prompt_is_known(engine: HFEngine) -> None:
    prompt = torch.tensor([engine.chat([{"role": "user", "content": "Modulo 10: a=7;b=a*3;c=b+9; c=?"}])])
    embedded = engine.model.get_input_embeddings()(prompt)
    with torch.no_grad():
        ours = logits_processors(engine.tokenizer, ThinkBudget(0, answer_reserve=4), temperature=0)
        with pytest.raises(UnsupportedControl, match=r"inputs_embeds.*opened_by_prompt=True"):
            engine.model.generate(inputs_embeds=embedded, logits_processor=ours, max_new_tokens=12)
        known = Markers(engine.markers.open, engine.markers.close, opened_by_prompt=True)
        ours = logits_processors(engine.tokenizer, ThinkBudget(0, answer_reserve=4), temperature=0, markers=known)
        out = engine.model.generate(inputs_embeds=embedded, logits_processor=ours, max_new_tokens=12, do_sample=False)
        assert ours.receipts(out)[0].end == "forced"
        ours = logits_processors(engine.tokenizer, ThinkBudget(0, answer_reserve=4), temperature=0)
        both = {"inputs_embeds": embedded, "input_ids": prompt}
        out = engine.model.generate(**both, logits_processor=ours, max_new_tokens=12, do_sample=False)
        assert ours.receipts(out)[0].end == "forced"


def test_encoder_decoder_models_are_refused_unless_the_prompt_is_known() -> None:
    model = BartForConditionalGeneration(
        BartConfig(
            vocab_size=VOCABULARY.size,
            d_model=8,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=1,
            decoder_attention_heads=1,
            encoder_ffn_dim=8,
            decoder_ffn_dim=8,
            max_position_embeddings=64,
            bos_token_id=0,
            pad_token_id=1,
            eos_token_id=EOS,
            decoder_start_token_id=0,
            forced_eos_token_id=None,
        )
    ).eval()
    ids = torch.tensor([VOCABULARY.encode("Q<t>")])
    with pytest.raises(UnsupportedControl, match="encoder-decoder"):
        model.generate(ids, logits_processor=processors(0), max_new_tokens=6)
    ours = processors(0, Markers("<t>", "</t>", opened_by_prompt=True))
    out = model.generate(ids, logits_processor=ours, max_new_tokens=6, do_sample=False)
    assert ours.receipts(out)[0].end == "forced"


def test_calls_that_ignore_controls_are_refused() -> None:
    ids = torch.tensor([VOCABULARY.encode("Q<t>")])
    with pytest.raises(UnsupportedControl, match="paged"):
        scripted("a").generate(ids, logits_processor=processors(0), cache_implementation="paged")  # type: ignore[misc]  # untyped
    with pytest.raises(UnsupportedControl, match="beams=False"):
        scripted("a").generate(ids, logits_processor=processors(0, beams=False), num_beams=4)  # type: ignore[misc]  # untyped


def test_the_width_of_scores_names_the_likelier_cause() -> None:
    ours: Any = processors(0)
    with pytest.raises(UnsupportedControl, match="embedding was not resized"):
        ours(torch.tensor([VOCABULARY.encode("Q<t>")]), torch.zeros(1, VOCABULARY.size - 1))
    ours = processors(0)
    ours(torch.tensor([VOCABULARY.encode("Q<t>")]), torch.zeros(1, VOCABULARY.size))
    with pytest.raises(UnsupportedControl, match="assisted generation"):
        ours(torch.tensor([VOCABULARY.encode("Q<t>")]), torch.zeros(1, VOCABULARY.size + 1))


@pytest.mark.parametrize("ids", [None, 3, [3, 4]])
def test_going_on_after_the_end_is_refused(ids: Any) -> None:
    """The budget acted, and the receipt said that thinking was never opened."""
    with pytest.raises(UnsupportedControl, match=rf"goes on after \[{EOS}\]"):
        scripted("aa</t>7").generate(  # type: ignore[misc]  # untyped
            torch.tensor([VOCABULARY.encode("Q<t>")]),
            logits_processor=processors(8),
            max_new_tokens=9,
            eos_token_id=ids,
        )
