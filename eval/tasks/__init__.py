"""Tasks by name, and questions from files."""

from __future__ import annotations

from thinkpace.eval.tasks.load import load
from thinkpace.eval.tasks.registry import NAMES, task_of

__all__ = ["NAMES", "load", "task_of"]
