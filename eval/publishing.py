"""Former location of `thinkpace.eval.report.publish`."""

from __future__ import annotations

from thinkpace.eval.report.publish import publish

__all__ = ["publish"]
