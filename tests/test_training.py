"""The embedded model's recipe: a few steps of it, and what its data promise."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from embedded_traces import chain_trace, search_trace
from train_embedded import (
    CLOSE,
    MODEL_VOCABULARY,
    OPEN,
    Recipe,
    batches,
    draw,
    main,
    new_model,
    prompt_text,
    train,
    train_tokenizer,
)

from thinkpace.eval.embedded import problems
from thinkpace.eval.embedded.problems import Chain, Search, split_of
from thinkpace.prompts import PROMPTS


@pytest.fixture(scope="module")
def tokenizer():  # type: ignore[no-untyped-def]  # a PreTrainedTokenizerFast
    return train_tokenizer(0)


def test_a_few_steps_lower_the_loss_and_repeat_exactly(tokenizer) -> None:  # type: ignore[no-untyped-def]  # see above
    torch.set_num_threads(1)
    recipe = Recipe(steps=12, batch=8, warm_up=2)
    losses = [train(new_model(tokenizer, 0), tokenizer, recipe) for _ in range(2)]
    assert losses[0] == losses[1]
    assert sum(losses[0][-3:]) < 0.8 * sum(losses[0][:3])


def test_the_script_writes_a_model_that_loads(tmp_path: Path) -> None:
    from thinkpace.adapters.hf.engine import HFEngine

    main(["--out", str(tmp_path / "hf"), "--steps", "2"])
    engine = HFEngine.from_path(tmp_path / "hf")
    assert (engine.markers.open, engine.markers.close, engine.markers.forced_close) == (OPEN, CLOSE, CLOSE + "\n")
    assert engine.vocabulary.size < MODEL_VOCABULARY, "rows beyond the tokenizer, as in real models"


def test_train_and_test_are_disjoint() -> None:
    rng = random.Random(1)
    seen = {draw(rng)[1].question for _ in range(5000)}
    assert all(split_of(question) == "train" for question in seen)
    held_out = problems.examples("chain", 500) + problems.examples("search", 500)
    assert all(split_of(example.question) == "test" for example in held_out)
    assert len({example.question for example in held_out}) == 1000


def test_known_answers() -> None:
    assert Chain(7, (("*", 3), ("+", 9), ("-", 4))).question == "Modulo 10: a=7;b=a*3;c=b+9;d=c-4; d=?"
    assert Chain(7, (("*", 3), ("+", 9), ("-", 4))).answer == "6"
    search = Search((("*", 7), ("-", 2), ("*", 3)), 5)
    assert search.question == "Modulo 10: (x*7-2)*3=5; x=?"
    assert search.answer == "1"


def test_traces_are_fallible_and_checking_helps() -> None:
    rng = random.Random(2)
    first = last = 0
    for _ in range(2000):
        problem = problems.draw_chain(rng)
        trace = chain_trace(problem, rng, draft=False)
        first += trace.thinking.split("Wait\n")[0].rstrip()[-1] == problem.answer
        last += trace.answer == problem.answer
    assert 0.55 < first / 2000 < 0.78
    assert last > first + 100


def test_search_traces_end_in_the_solution() -> None:
    rng = random.Random(3)
    traces = [(p := problems.draw_search(rng), search_trace(p, rng)) for _ in range(300)]
    assert all(trace.answer == problem.answer for problem, trace in traces)
    assert all(trace.thinking.endswith(" yes\n") for _, trace in traces)


def test_the_template_makes_the_prompt_of_the_training_texts(tokenizer) -> None:  # type: ignore[no-untyped-def]  # see above
    for style in PROMPTS.values():
        rendered = tokenizer.apply_chat_template(style.render("Q"), tokenize=False, add_generation_prompt=True)
        assert rendered == prompt_text(style, "Q")


def test_digits_are_single_tokens_and_a_phrase_is_several(tokenizer) -> None:  # type: ignore[no-untyped-def]  # see above
    assert len(tokenizer.tokenize("Modulo 10: 1234567890")) == len(tokenizer.tokenize("Modulo 10: ")) + 10
    assert len(tokenizer.tokenize("Final Answer:")) > 1
    assert len(tokenizer) < MODEL_VOCABULARY


def test_cut_traces_teach_no_random_close(tokenizer) -> None:  # type: ignore[no-untyped-def]  # see above
    ids, labels = next(batches(tokenizer, Recipe(batch=48)))
    close = tokenizer.convert_tokens_to_ids(CLOSE)
    assert ((ids == close).sum(1) == 1).all()
    taught = (labels == close).any(1)
    assert 0 < int((~taught).sum()) < 24
