"""Run every control on one question of the embedded model; print what it changed, and its receipt.

python examples/controls.py
"""

from __future__ import annotations

from thinkpace import (
    QWEN3_MESSAGE,
    BudgetForcing,
    ConfidenceExit,
    Control,
    DraftLimit,
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
    controls_from_text,
    during,
)
from thinkpace.adapters.hf import HFEngine
from thinkpace.eval import embedded
from thinkpace.prompts import STEP_BY_STEP

LINES = ("\n",)
CHAINS: tuple[tuple[Control, ...], ...] = (
    (),
    (ThinkBudget(40, landing=12, answer_reserve=16),),
    (ThinkBudget(40, message=QWEN3_MESSAGE, guard=8, answer_reserve=16),),
    (BudgetForcing(waits=1, answer_reserve=16),),
    (ThoughtSwitchPenalty(beta=24),),
    (ThoughtBudget(2),),
    (StepBudget(3, LINES),),
    (SuppressExpressions(("alternatively", "wait")),),
    (DraftLimit(3),),
    (ConfidenceExit("margin", 3.0, separators=LINES),),
    (ConfidenceExit("trial", 0.5, separators=LINES, trial="</think>\nFinal Answer:"),),
    (LoopBreaker(repeats=2, min_tokens=12),),
    (PhasedSpeed(slow_tokens=64, separators=LINES, answer_reserve=16),),
    (StructuredAnswer(choices=("Final Answer: even", "Final Answer: odd")),),
    (during("thinking", SuppressExpressions(("try",))), after(60, ThoughtBudget(1))),
    controls_from_text("think_budget(60, landing=20, answer_reserve=16) + LoopBreaker + thought_switch_penalty(5, 28)"),
)


def main() -> None:
    engine = HFEngine.from_path(embedded.path("hf"), name=embedded.NAME)
    prompt = engine.chat(STEP_BY_STEP.render("Modulo 10: (x*7-2)*3=5; x=?"))
    made = engine.generate([Request(prompt, chain, 300, Sampling(1.0), seed=3) for chain in CHAINS])
    for chain, completion in zip(CHAINS, made, strict=True):
        receipt, usage = completion.receipt, completion.usage
        print(" + ".join(map(repr, chain)) or "no control")
        print(f"  thinking ...{completion.thinking[-40:]!r}, {receipt.thinking_tokens} tokens, end: {receipt.end}")
        print(f"  answer {completion.answer!r}; tokens {usage}")
        for event in receipt.events[:3]:
            print(f"  token {event.at}: {event.what} ({event.why})")


if __name__ == "__main__":
    main()
