"""Measure accuracy against tokens: tasks, grading, journal, statistics, sweeps, reports and the command line.

Names are imported on first use, so that `thinkpace.eval.embedded` works without the libraries that they need.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thinkpace.eval.executors.local import Here, Processes
    from thinkpace.eval.report.publish import publish
    from thinkpace.eval.runs.journal import Journal
    from thinkpace.eval.runs.plan import EngineInfo, Plan
    from thinkpace.eval.runs.run import run
    from thinkpace.eval.runs.settings import Setting
    from thinkpace.eval.stats.results import results
    from thinkpace.eval.sweeps.results import SweepResults
    from thinkpace.eval.tasks.registry import task_of

__all__ = [
    "EngineInfo",
    "Here",
    "Journal",
    "Plan",
    "Processes",
    "Setting",
    "SweepResults",
    "publish",
    "results",
    "run",
    "task_of",
]

_HOMES = {
    "EngineInfo": "runs.plan",
    "Here": "executors.local",
    "Journal": "runs.journal",
    "Plan": "runs.plan",
    "Processes": "executors.local",
    "Setting": "runs.settings",
    "SweepResults": "sweeps.results",
    "publish": "report.publish",
    "results": "stats.results",
    "run": "runs.run",
    "task_of": "tasks.registry",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
