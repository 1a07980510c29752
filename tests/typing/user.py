"""A user's file: type checkers must find the public API with its types. Checked, never run."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import thinkpace
from thinkpace import (
    BudgetForcing,
    Completion,
    Control,
    Engine,
    LoopBreaker,
    Markers,
    Phase,
    Receipt,
    Request,
    Sampling,
    ThinkBudget,
    after,
    control_from_json,
    controls_from_text,
    during,
)
from thinkpace.adapters.scripted import ScriptedEngine, WordVocabulary, says
from thinkpace.eval import SweepResults
from thinkpace.eval.stats.results import Result
from thinkpace.processors import KEEP, Binding, Close, Decision, Processor, Track
from thinkpace.prompts import STEP_BY_STEP, Prompt
from thinkpace.testing import Case, Checked, check_control

forcing = BudgetForcing(512, waits=1)
assert_type(forcing.max_tokens, int | None)
assert_type(controls_from_text("LoopBreaker"), tuple[Control, ...])
assert_type(control_from_json({"control": "ThinkBudget"}), Control)
gated: Control = during("thinking", after(3, LoopBreaker()))
prompt: Prompt = STEP_BY_STEP

vocabulary = WordVocabulary(("<t>", "</t>", "a", "<eos>"))
engine: Engine = ScriptedEngine(says((2, 1), 4, 3), vocabulary, Markers("<t>", "</t>"))
completions = engine.generate([Request((0,), (ThinkBudget(8), gated), 16, Sampling(0.6))])
assert_type(completions, list[Completion])
assert_type(completions[0].receipt, Receipt)
assert_type(completions[0].receipt.thinking_tokens, int)


def measured() -> None:
    results = thinkpace.sweep(budgets=[0, None], control=[forcing], out=Path("runs"))
    assert_type(results, SweepResults)
    assert_type(results[0], Result)
    assert_type(results.report(), Path)
    assert_type(check_control(forcing, Case("a", "a<eos>", 1, "open")), Checked)


class Counter(Processor[int]):
    """A processor of somebody else."""

    def init(self, track: Track) -> int:
        return 0

    def decide(self, state: int, track: Track) -> Decision:
        return Close("enough") if track.phase is Phase.THINKING and state > 3 else KEEP


def compiled(binding: Binding) -> Processor[int]:
    return Counter()
