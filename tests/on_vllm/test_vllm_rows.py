"""Rows as vLLM's batch moves them, without an engine around: its own classes say what happened to the batch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality

from thinkpace import BudgetForcing, ConfidenceExit, Control, Markers, ThinkBudget
from thinkpace.adapters.vllm.live_sequence import LiveSequence
from thinkpace.adapters.vllm.logits_processor import ThinkpaceLogitsProcessor
from thinkpace.adapters.vllm.served_model import ServedModel
from thinkpace.adapters.vllm.terms import WireRequest, extra_args
from thinkpace.processors.core.decisions import RowStatistic
from thinkpace.testing import VOCABULARY
from thinkpace.testing.scripted_hf import WordTokenizer

MARKERS = Markers("<t>", "</t>")
PROMPT = [*VOCABULARY.encode("Q<t>")]
A, WAIT, CLOSE = (VOCABULARY.encode(word)[0] for word in ("a", "Wait", "</t>"))


class Holed(WordTokenizer):
    """A tokenizer that has no word for one id."""

    def get_vocab(self) -> dict[str, int]:
        return {word: i for word, i in super().get_vocab().items() if word != ";"}


@pytest.fixture
def processor() -> ThinkpaceLogitsProcessor:
    model = ServedModel(Holed(VOCABULARY), (), 256, MARKERS)
    with mock.patch.object(ServedModel, "of", return_value=model):
        return ThinkpaceLogitsProcessor(SimpleNamespace(instance_id="0"), torch.device("cpu"), False)


def params(*controls: Control, **fields: Any) -> SamplingParams:
    return SamplingParams(temperature=0, max_tokens=300, extra_args=extra_args(*controls, markers=MARKERS), **fields)


def changed(processor: ThinkpaceLogitsProcessor, **what: Any) -> None:
    processor.update_state(BatchUpdate(8, **{"removed": [], "added": [], "moved": [], **what}))


def logits(rows: int, likeliest: int) -> torch.Tensor:
    out = torch.zeros(rows, VOCABULARY.size + 3)
    out[:, likeliest] = 5.0
    return out


def sequence(processor: ThinkpaceLogitsProcessor, row: int) -> LiveSequence:
    found = processor._on_host._slots[row]
    assert isinstance(found, LiveSequence)
    return found


def test_numbers_are_of_ids_that_stand_for_something(processor: ThinkpaceLogitsProcessor) -> None:
    """They were taken before the others were barred, however likely these were."""
    changed(processor, added=[(0, params(ConfidenceExit("probability", 0.9, separators=("\n",))), PROMPT, [])])
    scores = logits(1, A)
    [unused] = processor._model.vocabulary.unused
    scores[0, unused] = scores[0, VOCABULARY.size :] = 50.0
    processor.apply(scores)
    living = [i for i in range(VOCABULARY.size) if i != unused]
    expected = torch.softmax(logits(1, A)[0, living], 0).max().item()
    assert sequence(processor, 0).statistics[0][RowStatistic("top_probability")] == pytest.approx(expected)


def test_preempted_samples_that_share_parameters_come_back_as_themselves(processor: ThinkpaceLogitsProcessor) -> None:
    """In one process vLLM gives the samples of a request one object: what was drawn in one was taken for the other."""
    shared = params(BudgetForcing(waits=1, final=None, answer_reserve=0))
    outputs: list[list[int]] = [[], []]
    changed(processor, added=[(0, shared, PROMPT, outputs[0]), (1, shared, PROMPT, outputs[1])])
    scores = logits(2, A)
    scores[0, CLOSE] = 10.0  # this one would close: it says Wait instead
    processor.apply(scores)
    outputs[0].append(WAIT)
    outputs[1].append(A)
    processor.apply(logits(2, A))
    assert [sequence(processor, row).receipt().waits for row in (0, 1)] == [1, 0]
    changed(processor, removed=[0, 1])
    back = [[*outputs[1]], [*outputs[0]]]
    changed(processor, added=[(0, shared, PROMPT, back[0]), (1, shared, PROMPT, back[1])])
    processor.apply(logits(2, A))
    assert [sequence(processor, row).receipt().waits for row in (0, 1)] == [0, 1]


def test_rows_move_and_places_are_taken_over(processor: ThinkpaceLogitsProcessor) -> None:
    controls = params(ThinkBudget(max_tokens=2)), params(ThinkBudget(max_tokens=9))
    outputs: list[list[int]] = [[A, A], [A, A]]
    changed(processor, added=[(row, controls[row], PROMPT, outputs[row]) for row in (0, 1)])
    changed(processor, moved=[(0, 1, MoveDirectionality.SWAP)])
    scores = processor.apply(logits(2, A))
    assert scores.argmax(1).tolist() == [A, CLOSE]
    changed(processor, moved=[(1, 0, MoveDirectionality.UNIDIRECTIONAL)])
    scores = processor.apply(logits(2, A))
    assert scores.argmax(1).tolist() == [CLOSE, A]  # the second row is nobody's
    changed(processor, added=[(0, SamplingParams(), PROMPT, [])])  # another takes its place, and asks for nothing
    assert processor.apply(logits(2, A)).argmax(1).tolist() == [A, A]


def test_output_at_the_end_of_the_prompt_counts(processor: ThinkpaceLogitsProcessor) -> None:
    """Two of three thinking tokens are there; the sequence is preempted, and comes back as itself."""
    arguments = {"thinkpace": WireRequest((ThinkBudget(3),), MARKERS, continued=2).text()}
    asked, output = SamplingParams(temperature=0, max_tokens=300, extra_args=arguments), list[int]()
    changed(processor, added=[(0, asked, [*PROMPT, A, A], output)])
    assert processor.apply(logits(1, A)).argmax(1).tolist() == [A]
    output.append(A)
    assert processor.apply(logits(1, A)).argmax(1).tolist() == [CLOSE]
    known = sequence(processor, 0)
    assert (known.prompt, known.tokens) == (tuple(PROMPT), [A, A, A])
    changed(processor, removed=[0])
    changed(processor, added=[(0, asked, [*PROMPT, A, A], [A])])
    assert sequence(processor, 0) is known
    assert processor.apply(logits(1, A)).argmax(1).tolist() == [CLOSE]
    changed(processor, added=[(1, asked, [A, A], [])])
    assert processor.apply(logits(2, A)).argmax(1).tolist()[1] == min(VOCABULARY.eos), "nothing is left of the prompt"


def test_tokens_that_are_still_to_come_are_none(processor: ThinkpaceLogitsProcessor) -> None:
    """While vLLM schedules ahead, the newest token is -1 until it is sampled."""
    output = [A, -1]
    changed(processor, added=[(0, params(ThinkBudget(max_tokens=2)), PROMPT, output)])
    assert processor.apply(logits(1, A)).argmax(1).tolist() == [A]
    assert sequence(processor, 0).tokens == [A]
    output[1] = A
    assert processor.apply(logits(1, A)).argmax(1).tolist() == [CLOSE]


def test_what_cannot_work_ends_its_own_request(processor: ThinkpaceLogitsProcessor) -> None:
    refused = SamplingParams(extra_args={"thinkpace": "ConfidenceExit('trial')"})
    changed(processor, added=[(0, refused, PROMPT, []), (1, params(ThinkBudget(max_tokens=9)), PROMPT, [])])
    scores = processor.apply(logits(2, A))
    assert scores.argmax(1).tolist() == [min(VOCABULARY.eos), A]
