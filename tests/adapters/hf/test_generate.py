"""The real `generate` of transformers on the embedded model: every way it calls a processor."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import GenerationMixin

from thinkpace import (
    BudgetForcing,
    ConfidenceExit,
    DraftLimit,
    LoopBreaker,
    Markers,
    Phase,
    Receipt,
    Request,
    Sampling,
    StepBudget,
    SuppressExpressions,
    ThinkBudget,
    ThoughtSwitchPenalty,
    UnsupportedControl,
)
from thinkpace.adapters.hf.engine import HFEngine
from thinkpace.adapters.hf.logits_processor import logits_processors
from thinkpace.adapters.scripted import says
from thinkpace.eval.embedded import problems
from thinkpace.processors import replay
from thinkpace.prompts import STEP_BY_STEP
from thinkpace.testing import VOCABULARY
from thinkpace.testing.scripted_hf import ScriptedHF, WordTokenizer

CONTROL = BudgetForcing(max_tokens=60, waits=1, answer_reserve=8)


@pytest.fixture(scope="module")
def prompts(engine: HFEngine) -> list[tuple[int, ...]]:
    return [engine.chat(STEP_BY_STEP.render(example.question)) for example in problems.examples("chain", 16, seed=5)]


def inputs(engine: HFEngine, prompts: list[tuple[int, ...]]) -> dict[str, torch.Tensor]:
    width = max(len(prompt) for prompt in prompts)
    pad = engine.tokenizer.pad_token_id
    return {
        "input_ids": torch.tensor([[pad] * (width - len(p)) + list(p) for p in prompts]),
        "attention_mask": torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts]),
    }


def generate(engine: HFEngine, prompts: list[tuple[int, ...]], processors: Any, **arguments: Any) -> torch.Tensor:
    settings = {
        "max_new_tokens": 120,
        "do_sample": False,
        "temperature": None,
        "top_p": None,
        "top_k": None,
    } | arguments
    with torch.no_grad():
        return engine.model.generate(**inputs(engine, prompts), logits_processor=processors, **settings)  # type: ignore[no-any-return]  # untyped


def tokens_of(engine: HFEngine, sequences: torch.Tensor, prompts: list[tuple[int, ...]]) -> list[list[int]]:
    width = max(len(prompt) for prompt in prompts)
    pad = engine.tokenizer.pad_token_id
    return [[t for t in row[width:] if t != pad] for row in sequences.tolist()]


def holds(receipt: Receipt) -> None:
    assert receipt.thinking_tokens <= 60
    assert receipt.diverged == 0
    assert receipt.end in ("natural", "forced")
    if receipt.end == "forced":
        assert any(event.why == "limit" for event in receipt.events)
    else:
        assert receipt.waits == 1 or receipt.thinking_tokens >= 59


def test_alone_and_in_a_left_padded_batch(engine: HFEngine, prompts: list[tuple[int, ...]]) -> None:
    processors = logits_processors(engine.tokenizer, CONTROL, temperature=0)
    sequences = generate(engine, prompts, processors)
    together, tokens = processors.receipts(sequences), tokens_of(engine, sequences, prompts)
    assert len({len(prompt) for prompt in prompts}) > 1, "the batch is padded"
    for prompt, receipt, own in zip(prompts, together, tokens, strict=True):
        holds(receipt)
        alone = logits_processors(engine.tokenizer, CONTROL, temperature=0)
        sequence = generate(engine, [prompt], alone)
        assert tokens_of(engine, sequence, [prompt]) == [own]
        assert alone.receipts(sequence) == [receipt]
        assert receipt.usage.completion == len(own)
        assert receipt.usage.prompt == len(prompt)


def test_the_same_object_serves_one_call_after_another(engine: HFEngine, prompts: list[tuple[int, ...]]) -> None:
    processors = logits_processors(engine.tokenizer, CONTROL, temperature=0)
    for batch in (prompts[:4], prompts[:4], prompts[4:5], prompts[2:9]):
        again = generate(engine, batch, processors)
        fresh = logits_processors(engine.tokenizer, CONTROL, temperature=0)
        assert torch.equal(again, generate(engine, batch, fresh))
        assert processors.receipts(again) == fresh.receipts(again)


@pytest.mark.parametrize("second", ["<output>Q<t>", "Q<eos>Q<t>", "Q<t>aQ<t>", "Qa<t>"])
def test_a_second_turn_is_a_new_call(second: str) -> None:
    """A prompt that holds the last call's output was taken for that call going on: it ran without any control."""
    markers = Markers("<t>", "</t>")
    processors = logits_processors(
        WordTokenizer(VOCABULARY), ThinkBudget(3, answer_reserve=0), markers=markers, temperature=0
    )

    def call(text: str) -> torch.Tensor:
        ids = torch.tensor([VOCABULARY.encode(text)])
        fake = ScriptedHF(says(VOCABULARY.encode("aaaaaaaaaaaaaaa</t>7"), VOCABULARY.size, 8), VOCABULARY, ids.shape[1])
        with torch.no_grad():
            return fake.generate(ids, logits_processor=processors, max_new_tokens=30, do_sample=False)  # type: ignore[misc, return-value]  # untyped

    first = call("Q<t>")
    text = second.replace("<output>", VOCABULARY.decode(first[0].tolist()))
    [receipt] = processors.receipts(call(text))
    assert receipt.thinking_tokens == 3
    assert receipt.usage.prompt == len(VOCABULARY.encode(text))


def test_repeated_calls_draw_anew_whether_a_wait_was_natural() -> None:
    """With a fixed number per position, every call of one row decided alike: 200 of 200 instead of about half."""
    tokenizer, markers = WordTokenizer(VOCABULARY), Markers("<t>", "</t>")
    close, wait = VOCABULARY.encode("</t>Wait")

    def model(_prompt, output):  # type: ignore[no-untyped-def]  # a Model
        row = torch.full((VOCABULARY.size,), -30.0)
        row[close] = 0.0
        row[wait] = 0.0 if not output else -30.0
        return row.tolist()

    fake = ScriptedHF(model, VOCABULARY, 2)
    ids = torch.tensor([VOCABULARY.encode("Q<t>")])
    for seed in (None, 7):
        counts = [0, 0]
        reused = logits_processors(
            tokenizer, BudgetForcing(waits=1, final="so"), markers=markers, temperature=1.0, seed=seed
        )
        torch.manual_seed(1)
        for _ in range(60):
            with torch.no_grad():
                out: Any = fake.generate(ids, logits_processor=reused, max_new_tokens=4, do_sample=True, top_k=0)  # type: ignore[misc]  # untyped
            natural = VOCABULARY.decode(out[0].tolist()).count("Wait") == 2
            counts[natural] += 1
        assert min(counts) > 15, "a fair coin of 60 throws is on one side less than 16 times once in 10,000 times"


def test_padding_with_an_ordinary_token_ends_nothing() -> None:
    tokenizer = WordTokenizer(VOCABULARY)
    tokenizer.pad_token_id = VOCABULARY.words.index("7")
    fake = ScriptedHF(says(VOCABULARY.encode("a</t>7\n<t>aaaaaa</t>7"), VOCABULARY.size, 8), VOCABULARY, 2)
    hf = HFEngine(fake, tokenizer, markers=Markers("<t>", "</t>"))
    [made] = hf.generate([Request(VOCABULARY.encode("Q<t>"), (ThinkBudget(3, answer_reserve=0),), 40, Sampling(0.0))])
    assert made.text == "a</t>7\n<t>aa</t>aaaa</t>7<eos>"
    assert made.receipt.thinking_tokens == 3


def test_controls_per_row(engine: HFEngine, prompts: list[tuple[int, ...]]) -> None:
    lists = [[ThinkBudget(max_tokens=limit, answer_reserve=8)] for limit in (0, 10, 20, 30)]
    processors = logits_processors(engine.tokenizer, per_row=lists, temperature=0)
    receipts = processors.receipts(generate(engine, prompts[:4], processors))
    assert [receipt.thinking_tokens for receipt in receipts] == [0, 10, 20, 30]
    sequences = generate(engine, prompts[:8], processors, do_sample=True, temperature=1.0)
    assert [receipt.armed for receipt in processors.receipts(sequences)] == [
        (repr(control),) for [control] in lists for _ in range(2)
    ]


def test_lists_that_do_not_fit_the_batch(engine: HFEngine, prompts: list[tuple[int, ...]]) -> None:
    processors = logits_processors(engine.tokenizer, per_row=[[CONTROL], [CONTROL]], temperature=0)
    with pytest.raises(UnsupportedControl, match="do not fit 3 rows"):
        generate(engine, prompts[:3], processors)


def test_sampling_with_several_sequences_per_prompt(engine: HFEngine, prompts: list[tuple[int, ...]]) -> None:
    processors = logits_processors(engine.tokenizer, CONTROL, temperature=0.9)
    torch.manual_seed(0)
    sequences = generate(
        engine, prompts[:4], processors, do_sample=True, temperature=0.9, top_p=0.95, top_k=50, num_return_sequences=3
    )
    receipts = processors.receipts(sequences)
    assert len(receipts) == 12
    for receipt in receipts:
        holds(receipt)
    assert int(sequences.max()) < engine.vocabulary.size


@pytest.mark.parametrize("beams", [2, 4])
def test_beams(engine: HFEngine, prompts: list[tuple[int, ...]], beams: int) -> None:
    """Rows are reordered every step without a word; scores add up to finite numbers."""
    control = BudgetForcing(max_tokens=40, waits=1, wait="Wait\n", answer_reserve=8)
    processors = logits_processors(engine.tokenizer, control, temperature=0)
    made: Any = generate(
        engine, prompts[:3], processors, num_beams=beams, return_dict_in_generate=True, output_scores=True,
        num_return_sequences=2, max_new_tokens=70,
    )  # fmt: skip
    assert torch.isfinite(made.sequences_scores).all()
    assert made.sequences_scores.abs().max() < 1e4
    for receipt, tokens in zip(
        processors.receipts(made.sequences), tokens_of(engine, made.sequences, prompts[:3]), strict=True
    ):
        assert receipt.thinking_tokens <= 40
        assert receipt.diverged == 0
        assert receipt.end == "forced" or receipt.waits == 1
        assert receipt.usage.completion == len(tokens)


def test_beams_obey_what_each_row_has_written(engine: HFEngine, prompts: list[tuple[int, ...]]) -> None:
    """The state belongs to the tokens, not to the row: replaying each beam's tokens gives no divergence."""
    control = ThinkBudget(max_tokens=25, answer_reserve=8)
    processors = logits_processors(engine.tokenizer, control, temperature=0)
    sequences = generate(engine, prompts[:2], processors, num_beams=4, num_return_sequences=4, max_new_tokens=50)
    program = processors[0]._rows[0].program
    for row, tokens in enumerate(tokens_of(engine, sequences, prompts[:2])):
        state = replay(program, prompts[row // 4], tokens)
        assert program.receipt(state, 0).diverged == 0
        assert state.track.thinking_spent == 25
        assert state.track.phase is Phase.ANSWER


@pytest.mark.parametrize("way", ["assisted", "prompt lookup"])
def test_drafts_change_nothing(engine: HFEngine, prompts: list[tuple[int, ...]], way: str) -> None:
    """Draft tokens are looked at, refused and looked at again; the draft model shares the processor objects."""
    plain = logits_processors(engine.tokenizer, CONTROL, temperature=0)
    arguments: dict[str, Any] = (
        {"prompt_lookup_num_tokens": 4} if way == "prompt lookup" else {"assistant_model": engine.model}
    )
    for prompt in prompts[:4]:
        expected = generate(engine, [prompt], plain)
        drafted = logits_processors(engine.tokenizer, CONTROL, temperature=0)
        sequences = generate(engine, [prompt], drafted, **arguments)
        assert tokens_of(engine, sequences, [prompt]) == tokens_of(engine, expected, [prompt])
        assert drafted.receipts(sequences) == plain.receipts(expected)


def test_streaming(engine: HFEngine, prompts: list[tuple[int, ...]]) -> None:
    class Streamer:
        def __init__(self) -> None:
            self.tokens: list[int] = []

        def put(self, value: torch.Tensor) -> None:
            self.tokens += value.flatten().tolist()

        def end(self) -> None:
            self.tokens.append(-1)

    streamer = Streamer()
    processors = logits_processors(engine.tokenizer, CONTROL, temperature=0)
    sequences = generate(engine, prompts[:1], processors, streamer=streamer)
    assert streamer.tokens == [*sequences[0].tolist(), -1]


def test_continuous_batching_is_refused(engine: HFEngine, prompts: list[tuple[int, ...]]) -> None:
    processors = logits_processors(engine.tokenizer, CONTROL, temperature=0)
    with pytest.raises(UnsupportedControl, match="generate_batch ignores logits processors"):
        engine.model.generate_batch([list(prompts[0])], logits_processor=processors)
    with pytest.raises(UnsupportedControl, match="never called these controls"):
        processors.receipts()
    assert GenerationMixin.generate_batch.__name__ == "generate_batch"


def test_scores_of_another_vocabulary_are_refused(engine: HFEngine) -> None:
    """Universal assisted decoding hands the processor to a draft model whose ids mean other things."""
    [processor] = logits_processors(engine.tokenizer, CONTROL, temperature=0)
    ids = torch.tensor([[5, 6]])
    with pytest.raises(UnsupportedControl, match="draft model of the same vocabulary"):
        processor(ids, torch.zeros(1, engine.vocabulary.size - 1))
    processor(ids, torch.zeros(1, 512))
    with pytest.raises(UnsupportedControl, match="draft model of the same vocabulary"):
        processor(ids, torch.zeros(1, 600))


def test_ids_that_stand_for_nothing_never_come() -> None:
    """Holes in a vocabulary, below its largest id."""

    hole = 3

    class Holed(WordTokenizer):
        def get_vocab(self) -> dict[str, int]:
            return {word: i for word, i in super().get_vocab().items() if i != hole}

    tokenizer = Holed(VOCABULARY)
    [processor] = logits_processors(tokenizer, markers=Markers("<t>", "</t>"), temperature=1)
    scores = processor(torch.tensor([[0]]), torch.zeros(1, VOCABULARY.size + 2))
    assert torch.isneginf(scores[0]).nonzero().flatten().tolist() == [hole, VOCABULARY.size, VOCABULARY.size + 1]


def test_other_sequences_are_refused(engine: HFEngine, prompts: list[tuple[int, ...]]) -> None:
    processors = logits_processors(engine.tokenizer, CONTROL, temperature=0)
    generate(engine, prompts[:1], processors)
    with pytest.raises(ValueError, match="does not begin with a prompt of the last call"):
        processors.receipts(torch.ones((1, 90), dtype=torch.long))


def test_waits_without_a_temperature_warn(engine: HFEngine) -> None:
    with pytest.warns(UserWarning, match="temperature was not given"):
        logits_processors(engine.tokenizer, BudgetForcing(waits=1))
    logits_processors(engine.tokenizer, ThinkBudget(8))  # nothing is moved that a temperature would scale


def test_a_processor_alone_cannot_fork(engine: HFEngine) -> None:
    with pytest.raises(UnsupportedControl, match="use HFEngine"):
        logits_processors(engine.tokenizer, ConfidenceExit("trial"), temperature=0)


def test_numbers_of_the_row_reach_controls_in_generate(engine: HFEngine, prompts: list[tuple[int, ...]]) -> None:
    """The same exits through `generate`, in a batch and alone, as through the engine."""
    control = ConfidenceExit("margin", 4.0, separators=("\n",))
    processors = logits_processors(engine.tokenizer, control, temperature=0, max_new_tokens=120)
    found = tokens_of(engine, generate(engine, prompts[:6], processors), prompts[:6])
    requests = [Request(prompt, (control,), 120, Sampling(0)) for prompt in prompts[:6]]
    made = engine.generate(requests)
    assert [list(one.tokens) for one in made] == found
    assert any(event.why == "confident" for one in made for event in one.receipt.events)


def test_every_kind_of_control_goes_through_beams_and_drafts(engine: HFEngine, prompts: list[tuple[int, ...]]) -> None:
    chain = (
        ThoughtSwitchPenalty(beta=20),
        SuppressExpressions(("alternatively",)),
        DraftLimit(3),
        StepBudget(6, ("\n",)),
        LoopBreaker(),
        ThinkBudget(50, landing=10, guard=4, answer_reserve=8),
    )
    for arguments in ({"num_beams": 3, "num_return_sequences": 2}, {"prompt_lookup_num_tokens": 3}):
        asked = prompts[:1] if "prompt_lookup_num_tokens" in arguments else prompts[:3]
        processors = logits_processors(engine.tokenizer, *chain, temperature=0, max_new_tokens=120)
        sequences = generate(engine, asked, processors, **arguments)
        for receipt, row in zip(processors.receipts(sequences), sequences.tolist(), strict=True):
            assert receipt.thinking_tokens <= 50
            assert receipt.diverged == 0
            assert "lternatively" not in engine.vocabulary.decode(row)


def test_receipts_of_beams_with_waits_and_with_numbers(engine: HFEngine, prompts: list[tuple[int, ...]]) -> None:
    """Both crashed or miscounted once: evidence of another prefix was asked, and numbers of dropped beams were lost."""
    chains: tuple[tuple[Any, ...], ...] = (
        (BudgetForcing(40, waits=2, final=None, answer_reserve=16),),
        (DraftLimit(2), ThinkBudget(30, answer_reserve=16)),
        (ConfidenceExit("margin", 6.0, separators=("\n", ";")),),
    )
    for chain in chains:
        processors = logits_processors(engine.tokenizer, *chain, temperature=0, max_new_tokens=100)
        sequences = generate(engine, prompts[:4], processors, num_beams=3, num_return_sequences=3, max_new_tokens=100)
        for log in processors[0].logs(sequences):
            again = replay(log.program, log.prompt, log.tokens, log.history)
            assert log.program.receipt(again, 0) == log.program.receipt(log.state, 0)
            receipt = log.receipt()
            assert receipt.diverged == 0
            if isinstance(chain[-1], ConfidenceExit):
                assert (receipt.end == "forced") == any(event.why == "confident" for event in receipt.events)
