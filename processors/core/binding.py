"""Where a control is compiled for: one vocabulary, one model's markers, one request."""

from __future__ import annotations

from dataclasses import dataclass

from thinkpace.processors.text.markers import BoundMarkers
from thinkpace.processors.text.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a control is compiled for: the vocabulary, its markers, and the request's own limit.

    Args:
        vocabulary: how the tokenizer spells things.
        markers: of thinking, as ids.
        max_new_tokens: the request's limit on output tokens; None if there is none.
    """

    vocabulary: Vocabulary
    markers: BoundMarkers
    max_new_tokens: int | None = None
    context_tokens: int | None = None
