"""Going on from output that is there: the same for every engine that can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from thinkpace import BudgetForcing, Completion, Control, Engine, LoopBreaker, Request, Sampling, ThoughtSwitchPenalty
from thinkpace.eval.embedded import problems
from thinkpace.eval.runs.replay import replaced_draws
from thinkpace.processors.core.replay import DrawHistory
from thinkpace.prompts import STEP_BY_STEP

CHAINS: tuple[tuple[Control, ...], ...] = (
    (),
    (BudgetForcing(60, waits=1, answer_reserve=16),),
    (ThoughtSwitchPenalty(3, 20), LoopBreaker(), BudgetForcing(waits=2, answer_reserve=16)),
)


def whole(engine: Engine, controls: tuple[Control, ...], temperature: float) -> list[tuple[Request, Completion]]:
    """Requests and what came of them."""
    examples = problems.examples("chain", 12, seed=5)
    requests = [
        Request(engine.chat(STEP_BY_STEP.render(e.question)), controls, 300, Sampling(temperature), i)
        for i, e in enumerate(examples)
    ]
    return list(zip(requests, engine.generate(requests), strict=True))


def cut(pairs: Sequence[tuple[Request, Completion]]) -> list[Request]:
    """The requests again, each with another share of its output: of nothing, of all, and between."""
    out = []
    for i, (request, made) in enumerate(pairs):
        begun = made.tokens[: i * len(made.tokens) // (len(pairs) - 1)]
        drawn = {at: raw for at, raw in replaced_draws(made.receipt.events).items() if at < len(begun)}
        out.append(replace(request, continue_from=begun, history=DrawHistory(drawn)))
    return out
