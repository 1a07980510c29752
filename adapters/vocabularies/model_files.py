"""What can be read from a model's files without its weights, whatever the engine."""

from __future__ import annotations

from dataclasses import dataclass

from thinkpace.processors.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class ModelFiles:
    """Tokenizer, chat template and limits of a model."""

    vocabulary: Vocabulary  #: the tokenizer's
    chat_template: str | None  #: its source, if any
    context_tokens: int | None  #: the model's context length, if known
    special: dict[str, str]  #: names of special tokens in templates -> their texts
