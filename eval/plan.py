"""Former location of `thinkpace.eval.runs.plan`; `Card` is now called `EngineInfo`."""

from __future__ import annotations

from thinkpace.eval.runs.plan import EngineInfo, Plan

Card = EngineInfo

__all__ = ["Card", "EngineInfo", "Plan"]
