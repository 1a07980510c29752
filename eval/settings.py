"""Former location of `thinkpace.eval.runs.settings`."""

from __future__ import annotations

from thinkpace.eval.runs.settings import Setting, grid, with_controls

__all__ = ["Setting", "grid", "with_controls"]
