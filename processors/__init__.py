"""What happens to the next token: controls, and the machines they compile into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thinkpace.processors import controls
from thinkpace.processors.budgeting.budget import EFFORTS, QWEN3_MESSAGE
from thinkpace.processors.controls import *
from thinkpace.processors.controls import CONTROLS
from thinkpace.processors.controls.gates import after, during
from thinkpace.processors.controls.suppress_expressions import NOWAIT
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.chain import chain
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.decisions import Close, Need, Script
from thinkpace.processors.core.edit import KEEP, Edit, ban, bias, force, only, redirect, redraw
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.program import Program, State, compile_program
from thinkpace.processors.core.replay import Told, replay
from thinkpace.processors.core.token_kinds import kinds
from thinkpace.processors.core.tracker import Track, Tracker
from thinkpace.processors.spec import control_from_json, controls_from_text, controls_from_toml
from thinkpace.processors.text.automaton import Matcher
from thinkpace.processors.text.expressions import THOUGHT_SWITCHES
from thinkpace.processors.text.markers import BoundMarkers, Markers
from thinkpace.processors.text.vocabulary import TokenIds, Vocabulary

if TYPE_CHECKING:
    from thinkpace.engine import Completion, Engine, Request, Sampling

__all__ = [
    "CONTROLS",
    "EFFORTS",
    "KEEP",
    "NOWAIT",
    "QWEN3_MESSAGE",
    "THOUGHT_SWITCHES",
    "Binding",
    "BoundMarkers",
    "Close",
    "Completion",
    "Control",
    "Edit",
    "Engine",
    "Markers",
    "Matcher",
    "Need",
    "Processor",
    "Program",
    "Request",
    "Sampling",
    "Script",
    "State",
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
__all__ += controls.__all__

_ENGINE = ("Completion", "Engine", "Request", "Sampling")  # they have moved to `thinkpace.engine`


def __getattr__(name: str) -> Any:
    if name in _ENGINE:
        from thinkpace import engine

        return getattr(engine, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
