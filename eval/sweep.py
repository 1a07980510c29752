"""Former location of `thinkpace.eval.runs.run`."""

from __future__ import annotations

from thinkpace.eval.runs.run import run

__all__ = ["run"]
