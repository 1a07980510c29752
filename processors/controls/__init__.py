"""The controls, one per file. Everything that lists controls reads `CONTROLS`."""

from __future__ import annotations

from thinkpace.processors.controls.budget_forcing import BudgetForcing
from thinkpace.processors.controls.confidence_exit import ConfidenceExit
from thinkpace.processors.controls.draft_limit import DraftLimit
from thinkpace.processors.controls.gates import After, During
from thinkpace.processors.controls.loop_breaker import LoopBreaker
from thinkpace.processors.controls.phased_speed import PhasedSpeed
from thinkpace.processors.controls.step_budget import StepBudget
from thinkpace.processors.controls.structured_answer import StructuredAnswer
from thinkpace.processors.controls.suppress_expressions import SuppressExpressions
from thinkpace.processors.controls.think_budget import ThinkBudget
from thinkpace.processors.controls.thought_budget import ThoughtBudget
from thinkpace.processors.controls.thought_switch_penalty import ThoughtSwitchPenalty
from thinkpace.processors.core.control import Control

#: the public controls, in the order in which documentation and messages list them
CONTROLS: tuple[type[Control], ...] = (
    ThinkBudget,
    BudgetForcing,
    PhasedSpeed,
    ThoughtSwitchPenalty,
    ThoughtBudget,
    StepBudget,
    SuppressExpressions,
    DraftLimit,
    ConfidenceExit,
    LoopBreaker,
    StructuredAnswer,
    During,
    After,
)

__all__ = [  # written out for type checkers; a test compares it with CONTROLS
    "After",
    "BudgetForcing",
    "ConfidenceExit",
    "DraftLimit",
    "During",
    "LoopBreaker",
    "PhasedSpeed",
    "StepBudget",
    "StructuredAnswer",
    "SuppressExpressions",
    "ThinkBudget",
    "ThoughtBudget",
    "ThoughtSwitchPenalty",
]
