"""The earlier place of `thinkpace.adapters.vocabularies.hf`."""

from __future__ import annotations

from thinkpace.adapters.vocabularies.hf import HFVocabulary, find_markers

__all__ = ["HFVocabulary", "find_markers"]
