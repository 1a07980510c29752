"""The earlier place of `thinkpace.adapters.llama_cpp.engine`."""

from __future__ import annotations

from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine

__all__ = ["LlamaCppEngine"]
