"""Prompts: the text around a question, before the first generated token."""

from __future__ import annotations

from thinkpace.prompts.base import Prompt, Shot, load_shots
from thinkpace.prompts.published import PROMPTS, named
from thinkpace.prompts.styles import BARE, DIRECT, DRAFT, STEP_BY_STEP

__all__ = ["BARE", "DIRECT", "DRAFT", "PROMPTS", "STEP_BY_STEP", "Prompt", "Shot", "load_shots", "named"]
