"""Requests in, completions out, on transformers: seeds, batches, limits, trials."""

from __future__ import annotations

import pytest

from thinkpace import (
    BudgetForcing,
    ConfidenceExit,
    LoopBreaker,
    Markers,
    Request,
    Sampling,
    StructuredAnswer,
    ThinkBudget,
    UnsupportedControl,
)
from thinkpace.adapters.hf.engine import HFEngine
from thinkpace.adapters.scripted import says
from thinkpace.adapters.vocabularies.hf import HFVocabulary
from thinkpace.eval.embedded import problems
from thinkpace.processors.text.lexicon import lexicon
from thinkpace.prompts import STEP_BY_STEP
from thinkpace.testing import VOCABULARY
from thinkpace.testing.scripted_hf import ScriptedHF, WordTokenizer

CONTROL = BudgetForcing(max_tokens=60, waits=1, answer_reserve=8)


@pytest.fixture(scope="module")
def prompts(engine: HFEngine) -> list[tuple[int, ...]]:
    return [engine.chat(STEP_BY_STEP.render(example.question)) for example in problems.examples("chain", 16, seed=5)]


def test_a_models_generation_config_has_no_say(engine: HFEngine, prompts: list[tuple[int, ...]]) -> None:
    request = Request(prompts[0], (CONTROL,), 120, Sampling(0.0))
    expected = engine.generate([request])
    config = engine.model.generation_config
    try:
        config.repetition_penalty, config.min_new_tokens, config.max_time = 1.5, 110, 0.01
        assert engine.generate([request]) == expected
        assert engine.model.generation_config is config
    finally:
        config.repetition_penalty, config.min_new_tokens, config.max_time = None, None, None


def test_a_seed_of_its_own_for_every_sample(engine: HFEngine, prompts: list[tuple[int, ...]]) -> None:
    """A row's result does not depend on its neighbours, nor on where in the list it stands."""
    requests = [Request(p, (CONTROL,), 120, Sampling(1.0), seed) for p in prompts[:4] for seed in range(4)]
    together = engine.generate(requests)
    assert len({c.tokens for c in together}) > 8
    backwards = engine.generate(requests[::-1])[::-1]
    assert [c.tokens for c in backwards] == [c.tokens for c in together]
    for i in (0, 5, 15):
        [alone] = engine.generate([requests[i]])
        assert alone == together[i]


def test_ids_beyond_the_tokenizer_are_never_drawn() -> None:
    """Padded vocabularies: the scripted model gives its highest logits to rows that no token has."""
    fake = ScriptedHF(says((), VOCABULARY.size, 8), VOCABULARY, 2, width=VOCABULARY.size + 5)
    hf = HFEngine(fake, WordTokenizer(VOCABULARY), markers=Markers("<t>", "</t>"))
    prompt = VOCABULARY.encode("Q<t>")
    for temperature in (0.0, 1.0, 5.0):
        made = hf.generate([Request(prompt, (), 20, Sampling(temperature), seed) for seed in range(8)])
        assert all(token < VOCABULARY.size for c in made for token in c.tokens)


def test_mixed_requests_come_back_in_order(engine: HFEngine, prompts: list[tuple[int, ...]]) -> None:
    requests = [
        Request(prompt, (ThinkBudget(limit, answer_reserve=8),), new_tokens, Sampling(0.0), seed=i)
        for i, (prompt, limit, new_tokens) in enumerate(zip(prompts, [0, 5, 9, None] * 4, [40, 120] * 8, strict=True))
    ]
    for request, made in zip(requests, engine.generate(requests), strict=True):
        assert made.seed == request.seed
        assert made.receipt.armed == (repr(request.controls[0]),)
        assert len(made.tokens) <= request.max_new_tokens


def test_a_prompt_that_does_not_fit(engine: HFEngine) -> None:
    with pytest.raises(UnsupportedControl, match="do not fit the model's 1024 positions"):
        engine.generate([Request((1,) * 1000, (), 100)])


def test_trials_are_forks_and_are_in_the_ledger(engine: HFEngine, prompts: list[tuple[int, ...]]) -> None:
    """Tried answers leave no trace: the text is that of no control up to the exit, and their tokens are counted."""
    trial = ConfidenceExit("trial", 0.99, separators=("\n",), trial="</think>\nFinal Answer:")
    requests = [Request(prompt, chain, 150, Sampling(1.0)) for prompt in prompts[:3] for chain in ((), (trial,))]
    made = engine.generate(requests)
    alone = [engine.generate([request])[0] for request in requests]
    assert [one.tokens for one in made] == [one.tokens for one in alone], "a batch tries for each row by itself"
    for plain, tried in zip(made[::2], made[1::2], strict=True):
        at = next((event.at for event in tried.receipt.events), len(tried.tokens))
        assert plain.tokens[:at] == tried.tokens[:at]
        assert plain.usage.probe == plain.usage.reread == 0
        assert tried.usage.probe > 0
        assert tried.usage.reread > tried.usage.prompt
        assert tried.usage.completion == len(tried.tokens)


def test_structured_answers_after_natural_and_forced_closes(engine: HFEngine, prompts: list[tuple[int, ...]]) -> None:
    import json
    import re

    schema = '{"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]}'
    for budget in (BudgetForcing(24, final=None, answer_reserve=40), BudgetForcing(answer_reserve=40, final=None)):
        chain = (StructuredAnswer(json_schema=schema), LoopBreaker(), budget)
        made = engine.generate([Request(prompt, chain, 400, Sampling(1.0)) for prompt in prompts[:4]])
        assert {one.receipt.end for one in made} == {"forced" if budget.max_tokens else "natural"}
        finished = [one for one in made if one.finish_reason == "stop"]
        assert finished
        assert all(isinstance(json.loads(one.answer)["answer"], int) for one in finished)
        assert all(re.match(r"\s*\{", one.answer) for one in made)


def test_tables_serve_all_vocabularies_of_one_tokenizer(engine: HFEngine) -> None:
    one, other = HFVocabulary(engine.tokenizer), HFVocabulary(engine.tokenizer)
    assert one == other
    assert lexicon(one) is lexicon(other)
    assert one != HFVocabulary(engine.tokenizer, (0,))


def test_a_limit_holds_at_any_temperature(engine: HFEngine, prompts: list[tuple[int, ...]]) -> None:
    """A written token has to come whatever the rest of the row is scaled to."""
    made = engine.generate(
        [Request(prompts[0], (ThinkBudget(12, answer_reserve=16),), 60, Sampling(1e5), s) for s in range(6)]
    )
    assert {one.receipt.thinking_tokens for one in made} <= set(range(13))
    assert all(one.receipt.diverged == 0 for one in made)
