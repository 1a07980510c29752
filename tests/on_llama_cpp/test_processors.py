"""Controls on a `llama_cpp.Llama`, by its own methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import llama_cpp
import numpy as np
import pytest

from thinkpace import (
    BudgetForcing,
    ConfidenceExit,
    NoLegalToken,
    Request,
    Sampling,
    SuppressExpressions,
    ThinkBudget,
    UnsupportedControl,
)
from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine
from thinkpace.adapters.llama_cpp.logits_processor import LlamaLogitsProcessors, logits_processors
from thinkpace.eval import embedded
from thinkpace.processors.text.vocabulary import TokenIds

LIMIT = BudgetForcing(16, answer_reserve=16)


@pytest.fixture(scope="module")
def llama() -> Iterator[Any]:
    made = llama_cpp.Llama(str(embedded.path("gguf")), n_ctx=1024, verbose=False, type_k=0, type_v=0)
    yield made
    made.close()


def said(llama: Any, prompt: TokenIds, processors: LlamaLogitsProcessors, **arguments: Any) -> dict[str, Any]:
    return dict(
        llama.create_completion(
            list(prompt), **{"max_tokens": 100, "temperature": 0, **arguments}, logits_processor=processors
        )
    )


def test_same_as_our_own_loop(llama: Any, llama_engine: LlamaCppEngine, prompts: list[TokenIds]) -> None:
    controls = (SuppressExpressions(("wait",)), BudgetForcing(30, waits=1, answer_reserve=16))
    processors = logits_processors(llama, *controls, max_new_tokens=100)
    for prompt in prompts[:6]:
        output = said(llama, prompt, processors)
        [expected] = llama_engine.generate([Request(prompt, controls, 100, Sampling(0))])
        assert processors.receipt(output) == expected.receipt
        assert output["usage"]["completion_tokens"] == len(expected.tokens) - expected.receipt.finished


def test_a_stop_string_is_the_reason(llama: Any, prompts: list[TokenIds]) -> None:
    """llama-cpp-python said "stop", and the completion "length"."""
    processors = logits_processors(llama, LIMIT, max_new_tokens=100)
    output = said(llama, prompts[0], processors, stop=["Answer"])
    assert output["choices"][0]["finish_reason"] == processors.completion(output).finish_reason == "stop"
    output = said(llama, prompts[0], processors, max_tokens=5)
    assert output["choices"][0]["finish_reason"] == processors.completion(output).finish_reason == "length"


def test_chat_and_streams(llama: Any, prompts: list[TokenIds]) -> None:
    processors = logits_processors(llama, LIMIT, max_new_tokens=100)
    asked = [{"role": "user", "content": "a=3;b=a+4. b?"}]
    given = {"max_tokens": 100, "temperature": 0, "logits_processor": processors}
    whole = llama.create_chat_completion(asked, **given)
    receipt = processors.receipt(whole)
    parts = [
        chunk["choices"][0]["delta"].get("content", "")
        for chunk in llama.create_chat_completion(
            asked, max_tokens=100, temperature=0, stream=True, logits_processor=processors
        )
    ]
    assert "".join(parts) == whole["choices"][0]["message"]["content"]
    assert processors.receipt() == receipt
    assert 0 < receipt.thinking_tokens <= 16


def test_what_was_cut_off_is_not_counted(llama: Any, prompts: list[TokenIds]) -> None:
    """The library draws a token more than it returns."""
    processors = logits_processors(llama, max_new_tokens=7)
    output = said(llama, prompts[0], processors, max_tokens=7)
    assert processors.receipt(output).usage.completion == processors.receipt().usage.completion == 7


def test_a_logit_bias_and_controls_together(llama: Any, prompts: list[TokenIds]) -> None:
    """The library drops both: `extend` returns nothing there."""
    seven = llama.tokenize(b"7", add_bos=False)[0]
    processors = logits_processors(llama, LIMIT, max_new_tokens=100)
    for _ in range(2):  # nor is the caller's list made longer
        output = said(llama, prompts[0], processors, logit_bias={str(seven): 100.0})
        assert processors.receipt(output).thinking_tokens == 16
        assert output["choices"][0]["text"].startswith("7777")
        assert len(processors) == 1


def test_each_call_begins_anew(llama: Any, prompts: list[TokenIds]) -> None:
    processors = logits_processors(llama, LIMIT, max_new_tokens=100)
    first = said(llama, prompts[0], processors)
    receipt = processors.receipt(first)
    stream = llama.create_completion(
        list(prompts[1]), max_tokens=100, temperature=0, stream=True, logits_processor=processors
    )
    next(stream)
    stream.close()  # given up in the middle
    assert said(llama, prompts[0], processors)["choices"] == first["choices"]
    assert processors.receipt() == receipt


def test_an_error_inside_comes_out(llama: Any, prompts: list[TokenIds]) -> None:
    """ctypes prints it and continues without controls."""
    processors = logits_processors(llama, LIMIT)
    processors[0]._writer = None  # something breaks
    with pytest.raises(AttributeError):
        said(llama, prompts[0], processors)


def test_a_grammar_that_refuses_what_is_written_is_seen(llama: Any, prompts: list[TokenIds]) -> None:
    grammar = llama_cpp.LlamaGrammar.from_string(r"root ::= [a-z0-9=+*;\n -]*", verbose=False)
    processors = logits_processors(llama, LIMIT, max_new_tokens=40)
    output = said(llama, prompts[0], processors, grammar=grammar, max_tokens=40)
    receipt = processors.receipt(output)
    assert receipt.diverged > 0
    assert receipt.end == "open"
    assert "</think>" not in output["choices"][0]["text"]


def test_a_grammar_that_leaves_nothing_is_an_error(llama: Any, prompts: list[TokenIds]) -> None:
    """All that it allows is barred: the library would draw anything."""
    grammar = llama_cpp.LlamaGrammar.from_string('root ::= "b"', verbose=False)
    processors = logits_processors(llama, SuppressExpressions(("b",)))
    with pytest.raises(NoLegalToken, match="controls had barred"):
        said(llama, prompts[0], processors, grammar=grammar)


def test_waits_at_the_temperature_of_the_call(llama: Any, prompts: list[TokenIds]) -> None:
    processors = logits_processors(llama, BudgetForcing(waits=2, answer_reserve=16), max_new_tokens=300)
    output = said(llama, prompts[0], processors, temperature=0.5, max_tokens=300)
    assert processors[0]._writer.temperature == 0.5  # what the call was made with
    assert processors.receipt(output).waits <= 2


@pytest.mark.parametrize(
    "sampler",
    [
        {"top_k": 0},
        {"top_k": 129},
        {"mirostat_mode": 1},
        {"mirostat_mode": 2},
        {"typical_p": 0.9, "top_k": 0},
        {"repeat_penalty": 5.0, "presence_penalty": 2.0},
        {"top_k": 0, "temperature": -1.0},
    ],
)
def test_every_sampler_takes_what_is_written(llama: Any, prompts: list[TokenIds], sampler: dict[str, Any]) -> None:
    """llama.cpp sorts more than 128 candidates by buckets, whose number overflowed at 1e9: nothing was forced."""
    processors = logits_processors(llama, ThinkBudget(5, answer_reserve=16), max_new_tokens=60)
    output = said(llama, prompts[0], processors, **{"max_tokens": 60, "temperature": 0.6, **sampler})
    receipt = processors.receipt(output)
    assert receipt.diverged == 0
    assert receipt.thinking_tokens <= 5


def test_a_call_with_positional_arguments_is_understood(llama: Any, prompts: list[TokenIds]) -> None:
    processors = logits_processors(llama, LIMIT)
    tokens = llama.generate(list(prompts[0]), 40, 0.95, 0.05, 1.0, 0.6, logits_processor=processors)
    next(tokens)
    tokens.close()
    assert processors[0]._writer.temperature == 0.6


def test_controls_are_not_ignored_where_they_do_not_belong(llama: Any, prompts: list[TokenIds]) -> None:
    processors = logits_processors(llama, LIMIT)
    for nested in ([processors], llama_cpp.LogitsProcessorList([processors])):
        with pytest.raises(UnsupportedControl, match="itself"):
            said(llama, prompts[0], nested)  # type: ignore[arg-type]  # what people do
    other = llama_cpp.Llama(str(embedded.path("gguf-q8_0")), n_ctx=512, verbose=False)
    with pytest.raises(UnsupportedControl, match="another Llama"):
        said(other, prompts[0], processors)
    other.close()
    with pytest.raises(TypeError, match="one by one"):
        logits_processors(llama, [LIMIT])  # type: ignore[arg-type]  # what people do
    with pytest.raises(TypeError, match="Llama first"):
        logits_processors("model.gguf", LIMIT)


def test_seeds_of_calls_decide(llama: Any, prompts: list[TokenIds]) -> None:
    processors = logits_processors(llama, BudgetForcing(waits=2, answer_reserve=16), max_new_tokens=200)
    texts = {
        said(llama, prompts[1], processors, temperature=1.0, seed=11, max_tokens=200)["choices"][0]["text"]
        for _ in range(4)
    }
    assert len(texts) == 1


def test_thinking_and_answer_told_apart(llama: Any, prompts: list[TokenIds]) -> None:
    processors = logits_processors(llama, LIMIT, max_new_tokens=100)
    output = said(llama, prompts[0], processors)
    made = processors.completion(output)
    assert made.thinking
    assert made.answer.strip().startswith("Final Answer:")
    assert made.receipt == processors.receipt(output)


def test_what_cannot_work_is_refused(llama: Any, prompts: list[TokenIds]) -> None:
    with pytest.raises(UnsupportedControl, match="LlamaCppEngine"):
        logits_processors(llama, ConfidenceExit("trial"))
    with pytest.raises(UnsupportedControl, match="no call"):
        logits_processors(llama, LIMIT).receipt()
    one, other = logits_processors(llama, LIMIT), logits_processors(llama, ThinkBudget(3))
    with pytest.raises(UnsupportedControl, match="one logits_processors"):
        said(llama, prompts[0], one.extend(other))
    one[0](np.zeros(3, np.int32), np.zeros(512, np.float32))
    with pytest.raises(UnsupportedControl, match="outside"):
        one[0].took(1)


class Draft(llama_cpp.llama_speculative.LlamaDraftModel):  # type: ignore[misc]  # the library has no types
    def __call__(self, input_ids: Sequence[int], /, **_: Any) -> Any:
        return np.array([5, 5], np.int32)


def test_draft_models_are_refused(prompts: list[TokenIds]) -> None:
    llama = llama_cpp.Llama(str(embedded.path("gguf")), n_ctx=1024, verbose=False, draft_model=Draft())
    with pytest.raises(UnsupportedControl, match="draft"):
        logits_processors(llama, LIMIT)
    llama.draft_model, draft = None, llama.draft_model
    processors = logits_processors(llama, LIMIT)
    llama.draft_model = draft  # put in afterwards
    with pytest.raises(UnsupportedControl, match="draft"):
        said(llama, prompts[0], processors)
    llama.close()


def test_calls_without_controls_are_left_alone(llama: Any, prompts: list[TokenIds]) -> None:
    logits_processors(llama, LIMIT)
    plain = llama.create_completion(list(prompts[0]), max_tokens=60, temperature=0)
    processors = logits_processors(llama)
    assert said(llama, prompts[0], processors, max_tokens=60)["choices"] == plain["choices"]


def test_a_context_that_is_no_multiple_of_256_keeps_all_ids() -> None:
    """llama.cpp rounds it up, and the library's array of ids did not grow: the whole output was lost."""
    made = llama_cpp.Llama(str(embedded.path("gguf")), n_ctx=300, verbose=False)
    try:
        assert made.n_ctx() > 300
        control = BudgetForcing(waits=100, answer_reserve=8)
        processors = logits_processors(made, control)
        out = made.create_completion([5, 6, 7] * 20, temperature=0, max_tokens=None, logits_processor=processors)
        assert out["usage"]["total_tokens"] > 300
        assert processors.receipt(out).usage.completion == out["usage"]["completion_tokens"]
    finally:
        made.close()


def test_room_for_the_answer_is_kept_inside_the_context(llama: Any, prompts: list[TokenIds]) -> None:
    """Without `max_new_tokens`, since the context and the prompt are known."""
    with pytest.raises(UnsupportedControl, match="leaves no room for thinking"):
        logits_processors(llama, ThinkBudget(5000, min_tokens=5000))
    small = llama_cpp.Llama(str(embedded.path("gguf")), n_ctx=256, verbose=False)
    try:
        control = BudgetForcing(waits=100, answer_reserve=40)
        processors = logits_processors(small, control)
        out = small.create_completion([*prompts[0]], temperature=0, max_tokens=None, logits_processor=processors)
        done = processors.completion(out)
        assert done.receipt.end == "forced"
        assert done.answer
        long = [*prompts[0], *([prompts[0][-1]] * (240 - len(prompts[0])))]
        with pytest.raises(UnsupportedControl, match="leaves no room for thinking"):
            small.create_completion(long, temperature=0, logits_processor=processors)
    finally:
        small.close()
