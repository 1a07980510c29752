"""Bindings: what a control is compiled for."""

from __future__ import annotations

from dataclasses import dataclass

from thinkpace.processors.text.markers import BoundMarkers
from thinkpace.processors.text.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Binding:
    """What a control is compiled for: one vocabulary, one model's markers, and the limits of one request.

    Args:
        vocabulary: the tokenizer's vocabulary.
        markers: the thinking markers, as ids.
        max_new_tokens: the request's limit on output tokens; None if there is none.
        context_tokens: how many tokens the model can hold; None if that is unknown.
        takes_back: whether the engine can take back tokens that it has generated.
    """

    vocabulary: Vocabulary
    markers: BoundMarkers
    max_new_tokens: int | None = None
    context_tokens: int | None = None
    takes_back: bool = False
