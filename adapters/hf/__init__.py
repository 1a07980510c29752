"""Hugging Face: controls for `model.generate`, and an engine built on it."""

from __future__ import annotations

from thinkpace.adapters.hf.engine import HFEngine
from thinkpace.adapters.hf.logits_processor import (
    ThinkpaceLogitsProcessor,
    ThinkpaceLogitsProcessorList,
    logits_processors,
)

__all__ = ["HFEngine", "ThinkpaceLogitsProcessor", "ThinkpaceLogitsProcessorList", "logits_processors"]
