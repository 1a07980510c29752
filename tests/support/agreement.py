"""Whether an engine makes the same of every control as transformers does, greedily, on the embedded model."""

from __future__ import annotations

import os

from thinkpace import (
    BudgetForcing,
    Completion,
    ConfidenceExit,
    Control,
    DraftLimit,
    Engine,
    LoopBreaker,
    PhasedSpeed,
    Request,
    Sampling,
    StepBudget,
    StructuredAnswer,
    SuppressExpressions,
    ThinkBudget,
    ThoughtBudget,
    ThoughtSwitchPenalty,
    after,
    during,
)
from thinkpace.adapters.hf.engine import HFEngine
from thinkpace.eval.embedded import problems
from thinkpace.prompts import PROMPTS

PROBLEMS = int(os.environ.get("THINKPACE_PROBLEMS", "200"))  # of the long tests; the gate takes fewer for its time

CONTROLS: dict[str, tuple[Control, ...]] = {
    "none": (),
    "limit": (ThinkBudget(24, answer_reserve=16),),
    "landing, message, guard": (ThinkBudget(40, answer_reserve=16, landing=16, message="so\n", guard=8),),
    "waits": (BudgetForcing(waits=2, answer_reserve=16),),
    "waits, nothing written": (BudgetForcing(waits=1, wait=None, answer_reserve=16),),
    "minimum and limit": (BudgetForcing(48, 40, answer_reserve=16),),
    "TIP": (ThoughtSwitchPenalty(3, 24),),
    "thoughts": (ThoughtBudget(2),),
    "steps": (StepBudget(3, ("\n",)),),
    "suppressed": (SuppressExpressions(("wait", "b")),),
    "draft, hard": (DraftLimit(3),),
    "draft, soft": (DraftLimit(3, "soft"),),
    "loops": (LoopBreaker(2, 2, 8),),
    "sure by probability": (ConfidenceExit("probability", 0.99, separators=("\n",)),),
    "sure by entropy": (ConfidenceExit("entropy", 0.05, 2, separators=("\n",)),),
    "sure by margin": (ConfidenceExit("margin", 8.0, separators=("\n",)),),
    "sure by a trial": (ConfidenceExit("trial", separators=("\n",), trial="\n</think>\nFinal Answer:"),),
    "speed": (PhasedSpeed(64, slow_tokens=24, separators=("\n",), answer_reserve=16),),
    "structured": (StructuredAnswer(regex=r"\nFinal Answer: [0-4]"),),
    "gates": (during("answer", SuppressExpressions(("1",))), after(12, ThoughtSwitchPenalty(3, 24))),
    "five": (
        ThoughtSwitchPenalty(3, 24), SuppressExpressions(("maybe",)), StepBudget(8, ("\n",)), LoopBreaker(),
        BudgetForcing(64, waits=1, answer_reserve=16),
    ),
}  # fmt: skip


def differing(engine: HFEngine, other: Engine, controls: tuple[Control, ...], count: int) -> list[tuple[int, str, str]]:
    """The problems on which the two differ, with both texts: where logits tie they may."""
    found = problems.examples("chain", count // 2, seed=7) + problems.examples("search", count - count // 2, seed=7)
    prompts = [engine.chat(PROMPTS["step-by-step"].render(example.question)) for example in found]
    requests = [Request(prompt, controls, 240, Sampling(0)) for prompt in prompts]
    pairs = zip(other.generate(requests), engine.generate(requests), strict=True)
    return [(i, a.text, b.text) for i, (a, b) in enumerate(pairs) if _seen(a) != _seen(b)]


def _seen(made: Completion) -> tuple[object, ...]:
    """All of a completion but the tokens that were read again for trials: a copied sequence needs none."""
    receipt, usage = made.receipt, made.usage
    counted = (usage.prompt, usage.thinking, usage.forced, usage.marker, usage.answer, usage.probe)
    return made.tokens, made.kinds, made.answer, receipt.events, receipt.end, receipt.finished, counted
