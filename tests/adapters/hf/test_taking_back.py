"""Closes that are taken back in batches of `generate`: a row stops, and goes on in another call, alone."""

from __future__ import annotations

from thinkpace import BudgetForcing, Completion, Markers, Request, Sampling
from thinkpace.adapters.hf.engine import HFEngine
from thinkpace.adapters.scripted import Model, ScriptedEngine, says
from thinkpace.testing import VOCABULARY
from thinkpace.testing.scripted_hf import ScriptedHF, WordTokenizer

MANY = Markers("<think>", "</think>")
FIRST = ("a", "so", "7", ";")  # the first token of a prompt chooses its script
SCRIPTS = ("a</think>7", "aaaaaaaaaaaa</think>7", "</think>7", "aaa</think>aa")


def model() -> Model:
    """A model that says the script of its prompt's first token."""
    eos = min(VOCABULARY.eos)
    rows = {
        VOCABULARY.words.index(first): says(VOCABULARY.encode(script), VOCABULARY.size, eos)
        for first, script in zip(FIRST, SCRIPTS, strict=True)
    }
    return lambda prompt, output: rows[prompt[0]](prompt, output)


def requests(temperature: float = 0.0) -> list[Request]:
    control = BudgetForcing(waits=2, final=None, answer_reserve=0)
    prompts = [VOCABULARY.encode(first + "Q<think>") for first in FIRST]
    return [Request(prompt, (control,), 40, Sampling(temperature), seed) for seed, prompt in enumerate(prompts)]


def in_a_batch() -> list[Completion]:
    fake = ScriptedHF(model(), VOCABULARY, len(VOCABULARY.encode("aQ<think>")))
    return HFEngine(fake, WordTokenizer(VOCABULARY), markers=MANY).generate(requests())


def test_rows_of_a_batch_are_what_they_are_alone() -> None:
    alone = ScriptedEngine(model(), VOCABULARY, MANY).generate(requests())
    for one, other in zip(in_a_batch(), alone, strict=True):
        assert one.text == other.text
        assert one.receipt.events == other.receipt.events
        assert one.receipt.waits == 2
        assert one.kinds == other.kinds
    assert alone[0].text == "aWaitWait</think>7<eos>"


def test_what_is_read_again_is_counted() -> None:
    for one, request in zip(in_a_batch(), requests(), strict=True):
        assert one.receipt.usage.reread >= 2 * len(request.prompt)
