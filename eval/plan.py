"""The earlier place of `thinkpace.eval.runs.plan`."""

from __future__ import annotations

from thinkpace.eval.runs.plan import Card, Plan

__all__ = ["Card", "Plan"]
