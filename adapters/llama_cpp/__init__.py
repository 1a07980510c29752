"""llama.cpp: controls for a `llama_cpp.Llama`, and an engine with its own decoding loop."""

from __future__ import annotations

from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine
from thinkpace.adapters.llama_cpp.logits_processor import LlamaLogitsProcessors, logits_processors
from thinkpace.adapters.llama_cpp.stream import Piece

__all__ = ["LlamaCppEngine", "LlamaLogitsProcessors", "Piece", "logits_processors"]
