"""The earlier place of `thinkpace.adapters.device`."""

from __future__ import annotations

from thinkpace.adapters.device import DeviceMachine

__all__ = ["DeviceMachine"]
