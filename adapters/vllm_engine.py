"""The earlier place of `thinkpace.adapters.vllm.engine`."""

from __future__ import annotations

from thinkpace.adapters.vllm.engine import VLLMEngine

__all__ = ["VLLMEngine"]
