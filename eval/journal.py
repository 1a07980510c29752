"""Former location of `thinkpace.eval.runs.journal`."""

from __future__ import annotations

from thinkpace.eval.runs.journal import Entry, Journal, Progress

__all__ = ["Entry", "Journal", "Progress"]
