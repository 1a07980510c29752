"""Set the pace at which a reasoning model thinks while it decodes, and measure what the thinking bought."""

from __future__ import annotations

import importlib
import os.path
from typing import TYPE_CHECKING, Any

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
from thinkpace.version import __version__ as __version__

if TYPE_CHECKING:
    from thinkpace.eval.sweeps.sweep import sweep as sweep

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


def __getattr__(name: str) -> Any:
    if name == "sweep":  # it needs the extra `eval`, and is slow to import
        return importlib.import_module("thinkpace.eval.sweeps.sweep").sweep
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
