"""The earlier place of `thinkpace.adapters.vllm.middleware`."""

from __future__ import annotations

from thinkpace.adapters.vllm.middleware import ReceiptMiddleware

__all__ = ["ReceiptMiddleware"]
