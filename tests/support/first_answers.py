"""When the first token of an answer came: the same for every engine that tells."""

from __future__ import annotations

import time
from dataclasses import replace

from thinkpace import Engine, Request, Sampling, ThinkBudget
from thinkpace.eval.embedded import problems
from thinkpace.prompts import STEP_BY_STEP


def check(engine: Engine) -> None:
    """Side by side, more thinking is a later answer; what has none, or had begun it before, has no time."""
    prompt = engine.chat(STEP_BY_STEP.render(problems.examples("chain", 1, seed=5)[0].question))
    short = Request(prompt, (ThinkBudget(4, answer_reserve=16),), 120, Sampling(0))
    long = replace(short, controls=(ThinkBudget(40, answer_reserve=16),))
    cut = Request(prompt, (), 3, Sampling(0))
    start = time.perf_counter()
    soon, late, never = engine.generate([short, long, cut])
    took = time.perf_counter() - start
    assert soon.first_answer_s is not None
    assert late.first_answer_s is not None
    assert 0 < soon.first_answer_s < late.first_answer_s <= took
    assert never.first_answer_s is None
    assert soon.answer
    [rest] = engine.generate([replace(short, continue_from=soon.tokens[:-1])])
    assert rest == soon
    assert rest.first_answer_s is None
