"""The earlier place of `thinkpace.adapters.vllm.terms`."""

from __future__ import annotations

from thinkpace.adapters.vllm.terms import KEY, PROCESSOR, WireRequest, extra_args, terms_from

__all__ = ["KEY", "PROCESSOR", "WireRequest", "extra_args", "terms_from"]
