"""Changes of a sequence's logits that are no control: biases of a client, and penalties of tokens that came before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from thinkpace.adapters.llama_cpp.native import Logits


class Adjustment:
    """Biases and penalties of one sequence, as in OpenAI's API. They come before the controls, as part of the model.

    Args:
        bias: id -> number added to its logit.
        presence: subtracted from the logit of every token of the output.
        frequency: subtracted once for each time that a token is in the output.
    """

    __slots__ = ("_biases", "_counts", "_frequency", "_ids", "_presence", "_seen")

    def __init__(self, bias: Mapping[int, float], presence: float = 0.0, frequency: float = 0.0) -> None:
        self._ids = np.array([*bias], dtype=np.int64)
        self._biases = np.array([*bias.values()], dtype=np.float32)
        self._presence, self._frequency = presence, frequency
        self._counts: dict[int, int] = {}
        self._seen = 0  # number of tokens in the counts

    def apply(self, row: Logits, tokens: Sequence[int]) -> None:
        """Change a row of logits.

        Args:
            row: logits, shape (vocabulary,), changed in place.
            tokens: the output so far; it only grows between calls.
        """
        if len(self._ids):
            row[self._ids] += self._biases
        if self._presence or self._frequency:
            for token in tokens[self._seen :]:
                self._counts[token] = self._counts.get(token, 0) + 1
            self._seen = len(tokens)
            ids = np.array([*self._counts], dtype=np.int64)
            row[ids] -= self._presence + self._frequency * np.array([*self._counts.values()], dtype=np.float32)
