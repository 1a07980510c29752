"""The earlier place of `thinkpace.adapters.hf.engine`."""

from __future__ import annotations

from thinkpace.adapters.hf.engine import HFEngine

__all__ = ["HFEngine"]
