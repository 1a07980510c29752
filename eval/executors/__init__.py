"""Executors run the work of a sweep: in this process, in processes of this machine, or on a Ray cluster."""

from __future__ import annotations

from thinkpace.eval.executors.local import Executor, Here, Opener, Processes, WorkerDied

__all__ = ["Executor", "Here", "Opener", "Processes", "WorkerDied"]
