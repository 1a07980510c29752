"""Controls to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from thinkpace.processors.base import Control
from thinkpace.processors.budget import BudgetForcing, ThinkBudget

CONTROLS: dict[str, type[Control]] = {kind.__name__: kind for kind in (ThinkBudget, BudgetForcing)}


def control_from_json(data: Mapping[str, Any]) -> Control:
    """The control that `Control.to_json` wrote.

    >>> control_from_json({"control": "ThinkBudget", "max_tokens": 64})
    ThinkBudget(max_tokens=64, min_tokens=0, answer_reserve=100)

    Raises:
        ValueError: for an unknown control or field; whatever the control itself raises for a bad value.
    """
    rest = dict(data)
    name = rest.pop("control", None)
    if not isinstance(name, str) or name not in CONTROLS:
        raise ValueError(f"unknown control {name!r}; known are {', '.join(sorted(CONTROLS))}")
    known = [f.name for f in fields(CONTROLS[name])]  # type: ignore[arg-type]  # every control is a dataclass
    if unknown := sorted(set(rest) - set(known)):
        raise ValueError(f"{name} has no field {unknown[0]!r}; its fields are {', '.join(known)}")
    return CONTROLS[name](**rest)
