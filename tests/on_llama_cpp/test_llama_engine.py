"""The loop of our own on llama.cpp."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from typing import Any
from unittest import mock

import llama_cpp
import numpy as np
import pytest

from thinkpace import (
    BudgetForcing,
    ConfidenceExit,
    Markers,
    NoLegalToken,
    Request,
    Sampling,
    StructuredAnswer,
    SuppressExpressions,
    ThinkBudget,
    UnsupportedControl,
)
from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine
from thinkpace.adapters.llama_cpp.native import Feed
from thinkpace.adapters.scripted import says
from thinkpace.eval import embedded
from thinkpace.processors.text.vocabulary import TokenIds
from thinkpace.testing import VOCABULARY

CONTROLS = (BudgetForcing(40, waits=1, answer_reserve=16),)


def small(**options: Any) -> LlamaCppEngine:
    return LlamaCppEngine(
        embedded.path("gguf"), **{"parallel": 4, "cache_type": "f32", "flash_attention": False, **options}
    )


def asked(prompts: list[TokenIds], **options: Any) -> list[Request]:
    return [Request(p, CONTROLS, 120, Sampling(0.8), seed) for seed, p in enumerate(prompts)]


class Counted:
    """Counts what goes into decodes."""

    def __init__(self, engine: LlamaCppEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.feeds: list[list[Feed]] = []
        decode = engine._context.decode

        def counted(feeds: list[Feed]) -> Any:
            self.feeds.append(list(feeds))
            return decode(feeds)

        monkeypatch.setattr(engine._context, "decode", counted)

    @property
    def tokens(self) -> int:
        return sum(len(feed.tokens) for feeds in self.feeds for feed in feeds)


def test_results_do_not_depend_on_what_is_decoded_beside(prompts: list[TokenIds]) -> None:
    requests = asked(prompts[:10])
    alone = [small(parallel=1).generate([request])[0] for request in requests[:3]]
    together = small(parallel=3).generate(requests)
    assert [one.tokens for one in alone] == [one.tokens for one in together[:3]]
    assert [one.seed for one in together] == list(range(10))


def test_seeds_decide(prompts: list[TokenIds]) -> None:
    engine = small()
    requests = [Request(prompts[0], (), 60, Sampling(1.5), seed % 6) for seed in range(12)]
    texts = [one.text for one in engine.generate(requests)]
    assert texts[:6] == texts[6:]
    assert len(set(texts)) > 2


def test_filters_drop_what_they_should(prompts: list[TokenIds]) -> None:
    engine = small()
    greedy = engine.generate([Request(prompts[0], (), 60, Sampling(0))])[0].tokens
    for sampling in (Sampling(1.5, top_k=1), Sampling(1.5, top_p=1e-6), Sampling(1.5, min_p=0.999)):
        assert engine.generate([Request(prompts[0], (), 60, sampling, 3)])[0].tokens == greedy
        held = engine.generate([Request(prompts[0], CONTROLS, 120, sampling, 3)])[0]
        assert held.tokens == engine.generate([Request(prompts[0], CONTROLS, 120, Sampling(0))])[0].tokens


def test_samples_of_one_prompt_share_it(prompts: list[TokenIds], monkeypatch: pytest.MonkeyPatch) -> None:
    engine = small()
    counted = Counted(engine, monkeypatch)
    made = engine.generate([Request(prompts[0], (), 50, Sampling(1.0), seed) for seed in range(4)])
    drawn = sum(len(one.tokens) for one in made)
    assert counted.tokens <= len(prompts[0]) + drawn, "the prompt was read once"


def test_a_fork_at_a_cut_reads_the_trace_once(prompts: list[TokenIds], monkeypatch: pytest.MonkeyPatch) -> None:
    engine = small()
    [trace] = engine.generate([Request(prompts[0], (), 60, Sampling(0))])
    counted = Counted(engine, monkeypatch)
    forks = [(*prompts[0], *trace.tokens[:cut]) for cut in (10, 15, 20)]
    made = engine.generate([Request(fork, (ThinkBudget(0, answer_reserve=8),), 20, Sampling(0)) for fork in forks])
    assert counted.tokens <= sum(len(one.tokens) + 1 for one in made)
    fresh = small().generate([Request(fork, (ThinkBudget(0, answer_reserve=8),), 20, Sampling(0)) for fork in forks])
    assert [one.tokens for one in made] == [one.tokens for one in fresh]


def test_a_prompt_that_was_read_is_not_read_again(prompts: list[TokenIds], monkeypatch: pytest.MonkeyPatch) -> None:
    engine = small(parallel=1)
    request = Request(prompts[0], (), 30, Sampling(0))
    [first] = engine.generate([request])
    counted = Counted(engine, monkeypatch)
    assert engine.generate([request])[0] == first
    assert counted.tokens <= len(first.tokens) + 1


def test_a_phrase_is_one_decode(prompts: list[TokenIds], monkeypatch: pytest.MonkeyPatch) -> None:
    engine = small()
    final = "so " * 20
    control = BudgetForcing(8, final=final, answer_reserve=16)
    counted = Counted(engine, monkeypatch)
    [made] = engine.generate([Request(prompts[0], (control,), 100, Sampling(0))])
    written = next(event for event in made.receipt.events if event.what == "wrote")
    assert len(written.tokens) > 20
    longest = max(len(feed.tokens) for feeds in counted.feeds[1:] for feed in feeds)
    assert longest > 20
    assert len(counted.feeds) <= len(made.tokens) - len(written.tokens) + 2


def test_more_requests_than_memory_wait_their_turn(prompts: list[TokenIds]) -> None:
    tight = small(parallel=4, context_tokens=300, cells=400)
    made = tight.generate(asked(prompts))
    assert [one.text for one in made] == [one.text for one in small(context_tokens=300).generate(asked(prompts))]


def test_long_prompts_are_read_in_parts(prompts: list[TokenIds]) -> None:
    assert [one.tokens for one in small(batch=7).generate(asked(prompts[:6]))] == [
        one.tokens for one in small().generate(asked(prompts[:6]))
    ]


def test_too_long_is_refused_before_anything_is_generated(prompts: list[TokenIds]) -> None:
    engine = small(context_tokens=100)
    with pytest.raises(UnsupportedControl, match="positions"):
        engine.generate([Request(prompts[0], (), 100)])
    with pytest.raises(ValueError, match="vocabulary"):
        engine.generate([Request((10**6,), (), 10)])


def test_several_threads_may_generate_at_once(prompts: list[TokenIds]) -> None:
    engine = small()
    expected = [one.tokens for one in engine.generate(asked(prompts[:8]))]
    found: dict[int, list[TokenIds]] = {}

    def work(i: int) -> None:
        found[i] = [one.tokens for one in engine.generate(asked(prompts[:8]))]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[i] == expected for i in range(4))


def test_a_stream_is_the_completion_in_pieces(prompts: list[TokenIds]) -> None:
    engine = small()
    for request in asked(prompts[:5]):
        [whole] = engine.generate([request])
        pieces = list(engine.stream(request))
        assert tuple(token for piece in pieces for token in piece.tokens) == whole.tokens
        assert tuple(piece.kind for piece in pieces for _ in piece.tokens) == whole.kinds
        assert "".join(piece.text for piece in pieces) == whole.text
        special = engine.vocabulary.special
        answer = "".join(p.text for p in pieces if p.answers and not special.issuperset(p.tokens))
        assert answer == whole.answer


def test_a_stream_that_is_given_up_frees_its_place(prompts: list[TokenIds]) -> None:
    engine = small(parallel=1)
    stream = engine.stream(asked(prompts)[0])
    next(stream)
    stream.close()
    assert len(engine.generate(asked(prompts[:2]))) == 2


def test_a_stream_loses_nothing_when_another_call_ends_it(prompts: list[TokenIds]) -> None:
    engine = small()
    one, other = asked(prompts[:2])
    [expected] = engine.generate([one])
    stream = engine.stream(one)
    text = next(stream).text
    engine.generate([other, one])  # its steps finish the stream's sequence too
    assert text + "".join(piece.text for piece in stream) == expected.text


def test_a_conflict_at_the_first_token_fails_alone(prompts: list[TokenIds]) -> None:
    """It was raised out of the step, and took everything with it."""
    engine = small()
    clash = (
        BudgetForcing(0, answer_reserve=8),
        StructuredAnswer(regex="5"),
        SuppressExpressions(("5", " ", "\n")),
    )
    good, bad = engine.jobs([asked(prompts)[0], Request(prompts[1], clash, 40)])
    engine.submit([good, bad])
    while not (good.done and bad.done):
        engine.step()
    assert good.error is None
    with pytest.raises(NoLegalToken):
        engine.completion(bad)


@pytest.mark.parametrize(("parallel", "batch"), [(4, 4), (1, 1), (8, 1)])
def test_small_batches(parallel: int, batch: int, prompts: list[TokenIds]) -> None:
    """llama.cpp aborts where a batch has less room than there are sequences."""
    made = small(parallel=parallel, batch=batch).generate(asked(prompts[:3]))
    assert [one.tokens for one in made] == [one.tokens for one in small().generate(asked(prompts[:3]))]


def test_use_after_close_is_a_sentence(prompts: list[TokenIds]) -> None:
    engine = small()
    engine.close()
    engine.close()
    with pytest.raises(ValueError, match="closed"):
        engine.generate(asked(prompts[:1]))
    llama = llama_cpp.Llama(str(embedded.path("gguf")), n_ctx=512, verbose=False)
    engine = LlamaCppEngine(llama)
    engine.generate(asked(prompts[:1]))
    llama.close()
    with pytest.raises(ValueError, match="closed"):
        engine.generate(asked(prompts[:1]))


def test_weights_do_not_outlive_their_engine(prompts: list[TokenIds]) -> None:
    """Tables are kept by vocabulary, and held the weights."""
    engine = small()
    engine.generate(asked(prompts[:1]))
    weights = weakref.ref(engine._file)
    engine.close()
    del engine
    gc.collect()
    assert weights() is None


def test_temperatures_that_single_precision_cannot_divide_by_are_refused(prompts: list[TokenIds]) -> None:
    for temperature in (1e-40, 1e30):
        with pytest.raises(ValueError, match="temperature"):
            small().generate([Request(prompts[0], (), 10, Sampling(temperature))])


def test_a_certain_token_comes_under_filters_too(tmp_path: Path) -> None:
    """One id is left, onto which another one moves."""
    engine = small()
    from thinkpace.processors import Edit

    loop, row = engine._loop, np.zeros(512, np.float32)
    [job] = engine.jobs([Request((5, 6), (), 10, Sampling(0.8, top_k=200))])
    with mock.patch.object(type(job.log), "edit", Edit(only=frozenset({7, 9}), redirect={9: 7})):
        assert {loop._drawn(job, row.copy()) for _ in range(20)} == {7}


def test_a_marker_that_is_only_begun_is_held_back(tmp_path: Path) -> None:
    """Its tokens are thinking until the last one shows that they were the marker."""
    from support.scripted_llama import scripted_llama

    markers = Markers("<think>", "</think>")
    model = says(VOCABULARY.encode("aa</a</think>7"), VOCABULARY.size, min(VOCABULARY.eos))
    prompt = VOCABULARY.encode("Q<think>")
    engine = scripted_llama(tmp_path, model, VOCABULARY, len(prompt), markers)
    request = Request(prompt, (), 40, Sampling(0))
    pieces = list(engine.stream(request))
    [whole] = engine.generate([request])
    assert [(piece.kind, piece.text) for piece in pieces if piece.kind == "marker"] == [("marker", "</think>")]
    assert tuple(piece.kind for piece in pieces for _ in piece.tokens) == whole.kinds


def test_trials_of_several_sequences_at_once_are_counted(prompts: list[TokenIds]) -> None:
    control = ConfidenceExit("trial", separators=("\n",), trial="\n</think>\nFinal Answer:")
    requests = [Request(prompt, (control,), 120, Sampling(0)) for prompt in prompts[:6]]
    made = small().generate(requests)
    assert [one.tokens for one in made] == [small(parallel=1).generate([r])[0].tokens for r in requests]
    assert all(one.usage.probe > 0 for one in made)


def test_a_failure_of_one_leaves_the_others(prompts: list[TokenIds]) -> None:
    engine = small()
    jobs = engine.jobs(asked(prompts[:3]))
    jobs[1].sampler = type("Broken", (), {"draw": lambda *_: (_ for _ in ()).throw(ValueError("broken"))})()
    engine.submit(jobs)
    while not all(job.done for job in jobs):
        engine.step()
    assert isinstance(jobs[1].error, ValueError)
    expected = engine.generate(asked(prompts[:3]))
    assert engine.completion(jobs[0]) == expected[0]
    assert engine.completion(jobs[2]) == expected[2]


def test_a_failed_decode_is_raised_and_the_engine_goes_on(
    prompts: list[TokenIds], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = small()
    expected = engine.generate(asked(prompts[:2]))
    with monkeypatch.context() as patch:
        patch.setattr(llama_cpp, "llama_decode", lambda *_: 1)
        with pytest.raises(RuntimeError, match="no room"):
            engine.generate(asked(prompts[2:4]))
    assert engine.generate(asked(prompts[:2])) == expected


def test_a_llama_object_lends_its_weights(prompts: list[TokenIds]) -> None:
    llama = llama_cpp.Llama(str(embedded.path("gguf")), n_ctx=512, verbose=False)
    engine = LlamaCppEngine(llama, parallel=2, cache_type="f32", flash_attention=False)
    assert engine.identity == small().identity
    assert engine.generate(asked(prompts[:2])) == small().generate(asked(prompts[:2]))
    engine.close()
    llama.close()


@pytest.mark.parametrize(
    ("arguments", "says_what"),
    [
        ({"parallel": 0}, "parallel"),
        ({"batch": 0}, "batch"),
        ({"context_tokens": 4096}, "1024"),
        ({"cells": 10}, "cells"),
        ({"cache_type": "f8"}, "cache_type"),
    ],
)
def test_bad_numbers_are_refused(arguments: dict[str, Any], says_what: str) -> None:
    with pytest.raises(ValueError, match=says_what):
        LlamaCppEngine(embedded.path("gguf"), **arguments)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file"):
        LlamaCppEngine(tmp_path / "none.gguf")
    (tmp_path / "text.gguf").write_text("nothing")
    with pytest.raises(ValueError, match="no GGUF"):
        LlamaCppEngine(tmp_path / "text.gguf")
    (tmp_path / "cut.gguf").write_bytes(embedded.path("gguf").read_bytes()[:5000])
    with pytest.raises(ValueError, match="damaged"):
        LlamaCppEngine(tmp_path / "cut.gguf")


def test_banned_words_never_come(prompts: list[TokenIds]) -> None:
    control = SuppressExpressions(("b", "c"))
    made = small().generate([Request(p, (control,), 60, Sampling(1.0), i) for i, p in enumerate(prompts[:4])])
    assert not any(" b=" in f" {one.thinking}" for one in made)


@pytest.mark.skipif(llama_cpp.llama_supports_gpu_offload(), reason="this build uses a GPU")
def test_layers_for_a_gpu_that_is_not_used_are_refused() -> None:
    with pytest.raises(ValueError, match="uses no GPU"):
        LlamaCppEngine(embedded.path("gguf"), gpu_layers=5)
