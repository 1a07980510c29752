"""vLLM: a logits processor for controls per request, and an engine over `LLM` or a running server.

Names are imported lazily: `extra_args` and `VLLMEngine.connect` work without vLLM installed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thinkpace.adapters.vllm.engine import VLLMEngine
    from thinkpace.adapters.vllm.logits_processor import ThinkpaceLogitsProcessor
    from thinkpace.adapters.vllm.middleware import ReceiptMiddleware
    from thinkpace.adapters.vllm.terms import extra_args

__all__ = ["ReceiptMiddleware", "ThinkpaceLogitsProcessor", "VLLMEngine", "extra_args"]

_HOMES = {
    "ReceiptMiddleware": "middleware",
    "ThinkpaceLogitsProcessor": "logits_processor",
    "VLLMEngine": "engine",
    "extra_args": "terms",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
