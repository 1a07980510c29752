"""Controls of the next token, and the processors that they compile into."""

from __future__ import annotations

import importlib
from typing import Any

from thinkpace.processors import controls
from thinkpace.processors.budgeting.budget import EFFORTS, QWEN3_MESSAGE
from thinkpace.processors.budgeting.closer import Closer
from thinkpace.processors.controls import *
from thinkpace.processors.controls import CONTROLS
from thinkpace.processors.controls.gates import after, during
from thinkpace.processors.controls.suppress_expressions import NOWAIT
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.chain import chain
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.decisions import FOREVER, Close, Decision, RowStatistic, Script, Statistics
from thinkpace.processors.core.edit import KEEP, Edit, ban, bias, force, only, redirect, redraw
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.program import Program, State, compile_program
from thinkpace.processors.core.replay import DrawHistory, replay
from thinkpace.processors.core.token_kinds import token_kinds
from thinkpace.processors.core.tracker import Track, Tracker
from thinkpace.processors.core.validators import (
    checked_choice,
    checked_count,
    checked_number,
    checked_text,
    checked_texts,
)
from thinkpace.processors.spec import control_from_json, controls_from_text, controls_from_toml
from thinkpace.processors.text.automaton import Matcher
from thinkpace.processors.text.expressions import THOUGHT_SWITCHES
from thinkpace.processors.text.lexicon import lexicon
from thinkpace.processors.text.markers import BoundMarkers, Markers
from thinkpace.processors.text.phrases import BEGIN as PHRASE_START
from thinkpace.processors.text.phrases import Phrases, phrases
from thinkpace.processors.text.vocabulary import TokenIds, Vocabulary, spell

__all__ = [
    "CONTROLS",
    "EFFORTS",
    "FOREVER",
    "KEEP",
    "NOWAIT",
    "PHRASE_START",
    "QWEN3_MESSAGE",
    "THOUGHT_SWITCHES",
    "Binding",
    "BoundMarkers",
    "Close",
    "Closer",
    "Control",
    "Decision",
    "DrawHistory",
    "Edit",
    "Markers",
    "Matcher",
    "Phrases",
    "Processor",
    "Program",
    "RowStatistic",
    "Script",
    "State",
    "Statistics",
    "TokenIds",
    "Track",
    "Tracker",
    "Vocabulary",
    "after",
    "ban",
    "bias",
    "chain",
    "checked_choice",
    "checked_count",
    "checked_number",
    "checked_text",
    "checked_texts",
    "compile_program",
    "control_from_json",
    "controls_from_text",
    "controls_from_toml",
    "during",
    "force",
    "lexicon",
    "only",
    "phrases",
    "redirect",
    "redraw",
    "replay",
    "spell",
    "token_kinds",
]
__all__ += controls.__all__

_MOVED = ("Completion", "Engine", "Request", "Sampling")  # moved to `thinkpace`, one layer above


def __getattr__(name: str) -> Any:
    if name in _MOVED:
        return getattr(importlib.import_module("thinkpace.engine"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
