"""What is said before the first token."""

from __future__ import annotations

from thinkpace.prompts.styles import DIRECT, DRAFT, PROMPTS, STEP_BY_STEP, Prompt

__all__ = ["DIRECT", "DRAFT", "PROMPTS", "STEP_BY_STEP", "Prompt"]
