"""Tasks by name, and questions from files."""

from __future__ import annotations

from thinkpace.eval.tasks.load import load
from thinkpace.eval.tasks.registry import TASK_NAMES, task_of

__all__ = ["TASK_NAMES", "load", "task_of"]
