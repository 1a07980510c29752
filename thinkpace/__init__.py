"""Set the pace at which a reasoning model thinks while it decodes, and measure what the thinking bought."""

from __future__ import annotations

from thinkpace.errors import MissingExtra, NoLegalToken, UnsupportedControl
from thinkpace.processors import (
    NOWAIT,
    QWEN3_MESSAGE,
    THOUGHT_SWITCHES,
    BudgetForcing,
    ConfidenceExit,
    Control,
    DraftLimit,
    LoopBreaker,
    Markers,
    PhasedSpeed,
    StepBudget,
    StructuredAnswer,
    SuppressExpressions,
    ThinkBudget,
    ThoughtBudget,
    ThoughtSwitchPenalty,
    after,
    control_from_json,
    controls_from_text,
    controls_from_toml,
    during,
)
from thinkpace.types import Event, Phase, Receipt, Usage

__version__ = "0.1.0"

__all__ = [
    "NOWAIT",
    "QWEN3_MESSAGE",
    "THOUGHT_SWITCHES",
    "BudgetForcing",
    "ConfidenceExit",
    "Control",
    "DraftLimit",
    "Event",
    "LoopBreaker",
    "Markers",
    "MissingExtra",
    "NoLegalToken",
    "Phase",
    "PhasedSpeed",
    "Receipt",
    "StepBudget",
    "StructuredAnswer",
    "SuppressExpressions",
    "ThinkBudget",
    "ThoughtBudget",
    "ThoughtSwitchPenalty",
    "UnsupportedControl",
    "Usage",
    "after",
    "control_from_json",
    "controls_from_text",
    "controls_from_toml",
    "during",
]
