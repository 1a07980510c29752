"""Set the pace at which a reasoning model thinks while it decodes, and measure what the thinking bought."""

from __future__ import annotations

from thinkpace.errors import MissingExtra, NoLegalToken, UnsupportedControl
from thinkpace.processors import (
    BudgetForcing,
    Control,
    Markers,
    ThinkBudget,
    control_from_json,
)
from thinkpace.types import Event, Phase, Receipt, Usage

__version__ = "0.1.0"

__all__ = [
    "BudgetForcing",
    "Control",
    "Event",
    "Markers",
    "MissingExtra",
    "NoLegalToken",
    "Phase",
    "Receipt",
    "ThinkBudget",
    "UnsupportedControl",
    "Usage",
    "control_from_json",
]
