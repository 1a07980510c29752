"""What happens to the next token: controls, and the machines they compile into."""

from __future__ import annotations

from thinkpace.processors.base import Binding, Close, Control, Need, Processor, Script
from thinkpace.processors.budget import EFFORTS, QWEN3_MESSAGE, BudgetForcing, ThinkBudget
from thinkpace.processors.chain import chain
from thinkpace.processors.confidence import ConfidenceExit
from thinkpace.processors.draft import DraftLimit
from thinkpace.processors.edit import KEEP, Edit, ban, bias, force, only, redirect, redraw
from thinkpace.processors.gate import after, during
from thinkpace.processors.guard import THOUGHT_SWITCHES
from thinkpace.processors.loops import LoopBreaker
from thinkpace.processors.markers import BoundMarkers, Markers
from thinkpace.processors.match import Matcher
from thinkpace.processors.phase import Track, Tracker
from thinkpace.processors.program import Program, State, Told, compile_program, kinds, replay
from thinkpace.processors.request import Completion, Engine, Request, Sampling
from thinkpace.processors.spec import control_from_json, controls_from_text, controls_from_toml
from thinkpace.processors.speed import PhasedSpeed
from thinkpace.processors.steps import StepBudget
from thinkpace.processors.structured import StructuredAnswer
from thinkpace.processors.suppress import NOWAIT, SuppressExpressions
from thinkpace.processors.switching import ThoughtBudget, ThoughtSwitchPenalty
from thinkpace.processors.vocabulary import TokenIds, Vocabulary

__all__ = [
    "EFFORTS",
    "KEEP",
    "NOWAIT",
    "QWEN3_MESSAGE",
    "THOUGHT_SWITCHES",
    "Binding",
    "BoundMarkers",
    "BudgetForcing",
    "Close",
    "Completion",
    "ConfidenceExit",
    "Control",
    "DraftLimit",
    "Edit",
    "Engine",
    "LoopBreaker",
    "Markers",
    "Matcher",
    "Need",
    "PhasedSpeed",
    "Processor",
    "Program",
    "Request",
    "Sampling",
    "Script",
    "State",
    "StepBudget",
    "StructuredAnswer",
    "SuppressExpressions",
    "ThinkBudget",
    "ThoughtBudget",
    "ThoughtSwitchPenalty",
    "TokenIds",
    "Told",
    "Track",
    "Tracker",
    "Vocabulary",
    "after",
    "ban",
    "bias",
    "chain",
    "compile_program",
    "control_from_json",
    "controls_from_text",
    "controls_from_toml",
    "during",
    "force",
    "kinds",
    "only",
    "redirect",
    "redraw",
    "replay",
]
