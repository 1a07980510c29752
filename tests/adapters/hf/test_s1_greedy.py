"""Greedy decoding on the embedded model: one pass is s1's loop, token for token; the long tests take 200 problems."""

from __future__ import annotations

import pytest
import torch
from support.reference_s1 import S1, Round

from thinkpace import BudgetForcing, Request, Sampling
from thinkpace.adapters.hf.engine import HFEngine
from thinkpace.eval.embedded import problems
from thinkpace.prompts import STEP_BY_STEP

LIMIT, RESERVE = 500, 8


def rounds(engine: HFEngine, asked: list[Round]) -> list[list[int]]:
    """Plain `generate` calls, no control of ours in them; rounds with the same stops go together."""
    out: list[list[int]] = [[] for _ in asked]
    groups: dict[tuple[frozenset[int], frozenset[int]], list[int]] = {}
    for i, one in enumerate(asked):
        groups.setdefault((one.stops, one.barred), []).append(i)
    pad = engine.tokenizer.pad_token_id
    for (stops, barred), members in groups.items():
        width = max(len(asked[i].prompt) for i in members)
        missing = [width - len(asked[i].prompt) for i in members]
        with torch.no_grad():
            made = engine.model.generate(
                input_ids=torch.tensor([[pad] * m + asked[i].prompt for m, i in zip(missing, members, strict=True)]),
                attention_mask=torch.tensor([[0] * m + [1] * (width - m) for m in missing]),
                max_new_tokens=max(asked[i].limit for i in members),
                do_sample=False,
                temperature=None,
                top_k=None,
                eos_token_id=sorted(stops) or [engine.model.config.vocab_size - 1],
                suppress_tokens=sorted(barred) or None,
                pad_token_id=pad,
            )
        for i, row in zip(members, made[:, width:].tolist(), strict=True):
            for token in row[: asked[i].limit]:
                out[i].append(token)
                if token in stops:
                    break
    return out


def all_loops(engine: HFEngine, s1: S1, prompts: list[tuple[int, ...]]) -> list[list[int]]:
    loops = [s1.loop(prompt) for prompt in prompts]
    asked = {i: next(loop) for i, loop in enumerate(loops)}
    done: dict[int, list[int]] = {}
    while asked:
        order = sorted(asked)
        for i, new in zip(order, rounds(engine, [asked[i] for i in order]), strict=True):
            try:
                asked[i] = loops[i].send(new)
            except StopIteration as end:
                done[i] = end.value
                del asked[i]
    return [done[i] for i in range(len(prompts))]


@pytest.mark.parametrize("budget", [24, 64, None])
@pytest.mark.parametrize("waits", [0, 1, 2, 3])
@pytest.mark.parametrize("count", [32, pytest.param(200, marks=pytest.mark.slow)])
def test_one_pass_equals_the_loop(engine: HFEngine, count: int, waits: int, budget: int | None) -> None:
    prompts = [engine.chat(STEP_BY_STEP.render(e.question)) for e in problems.examples("chain", count, seed=9)]
    control = BudgetForcing(max_tokens=budget, waits=waits, answer_reserve=RESERVE)
    close, newline = engine.vocabulary.encode("</think>\n")
    final = engine.vocabulary.encode("Final Answer:")
    s1 = S1(
        close,
        engine.vocabulary.eos,
        budget,
        waits,
        engine.vocabulary.encode("Wait"),
        (close, newline, *final),
        limit=LIMIT,
        reserve=RESERVE,
    )
    made = engine.generate([Request(p, (control,), LIMIT, Sampling(0.0)) for p in prompts])
    expected = all_loops(engine, s1, prompts)
    assert [list(c.tokens) for c in made] == expected
    if budget is not None:
        assert max(c.receipt.thinking_tokens for c in made) <= budget
