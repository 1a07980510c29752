"""Set the pace at which a reasoning model thinks while it decodes, and measure what the thinking bought."""

from __future__ import annotations

import os.path

if not os.path.isdir(os.path.join(__path__[0], "processors")):  # a checkout, or a source archive, without its links
    __path__.append(os.path.dirname(__path__[0]))

from thinkpace.engine import Completion, Engine, Request, Sampling
from thinkpace.errors import MissingExtra, NoLegalToken, UnsupportedControl
from thinkpace.processors import (
    NOWAIT,
    QWEN3_MESSAGE,
    THOUGHT_SWITCHES,
    Control,
    Markers,
    after,
    control_from_json,
    controls,
    controls_from_text,
    controls_from_toml,
    during,
)
from thinkpace.processors.controls import *
from thinkpace.types import Event, Phase, Receipt, Usage

__version__ = "0.1.0"

__all__ = [
    "NOWAIT",
    "QWEN3_MESSAGE",
    "THOUGHT_SWITCHES",
    "Completion",
    "Control",
    "Engine",
    "Event",
    "Markers",
    "MissingExtra",
    "NoLegalToken",
    "Phase",
    "Receipt",
    "Request",
    "Sampling",
    "UnsupportedControl",
    "Usage",
    "after",
    "control_from_json",
    "controls_from_text",
    "controls_from_toml",
    "during",
]
__all__ += controls.__all__
