"""What the files of a model tell before its weights are loaded, whatever the engine."""

from __future__ import annotations

from dataclasses import dataclass

from thinkpace.processors.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class ModelFiles:
    """Args: vocabulary: of the tokenizer. chat_template: its source, if any. context_tokens: what the model holds.
    special: names of special tokens that templates use, and their texts."""

    vocabulary: Vocabulary
    chat_template: str | None
    context_tokens: int | None
    special: dict[str, str]
