"""What happens to the next token: controls, and the machines they compile into."""

from __future__ import annotations

from thinkpace.processors.base import Binding, Control, Processor, Script
from thinkpace.processors.budget import BudgetForcing, ThinkBudget
from thinkpace.processors.chain import chain
from thinkpace.processors.edit import KEEP, Edit, ban, bias, force, only, redirect, redraw
from thinkpace.processors.markers import BoundMarkers, Markers
from thinkpace.processors.match import Matcher
from thinkpace.processors.phase import Track, Tracker
from thinkpace.processors.program import Program, State, compile_program, kinds, replay
from thinkpace.processors.request import Completion, Engine, Request, Sampling
from thinkpace.processors.spec import control_from_json
from thinkpace.processors.vocabulary import TokenIds, Vocabulary, spellings

__all__ = [
    "KEEP",
    "Binding",
    "BoundMarkers",
    "BudgetForcing",
    "Completion",
    "Control",
    "Edit",
    "Engine",
    "Markers",
    "Matcher",
    "Processor",
    "Program",
    "Request",
    "Sampling",
    "Script",
    "State",
    "ThinkBudget",
    "TokenIds",
    "Track",
    "Tracker",
    "Vocabulary",
    "ban",
    "bias",
    "chain",
    "compile_program",
    "control_from_json",
    "force",
    "kinds",
    "only",
    "redirect",
    "redraw",
    "replay",
    "spellings",
]
