"""One row of logits under an edit, in numpy: the reference for testing the faster writers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thinkpace.errors import NoLegalToken
from thinkpace.processors.core.edit import Edit

Row = NDArray[np.float64]


def merged_logit(logits: NDArray[np.float64], temperature: float) -> float:
    """The logit of several tokens as one: T * logsumexp(l / T), and the maximum at temperature 0."""
    if temperature == 0 or not np.isfinite(logits.max(initial=-np.inf)):
        return float(logits.max(initial=-np.inf))
    top = logits.max()
    return float(top + temperature * np.log(np.exp((logits - top) / temperature).sum()))


def edited(row: Row, edit: Edit, temperature: float) -> Row:
    """A copy of the row under the edit.

    Args:
        row: logits, shape (vocabulary,).
        edit: the edit.
        temperature: the temperature at which the row is sampled; 0 for greedy.

    Raises:
        NoLegalToken: if the edit allows several ids and the row bars them all.
    """
    if edit.only is None:
        out = row.copy()
        out[list(edit.dropped)] = -np.inf
    else:
        out = np.full_like(row, -np.inf)
        unchanged = list(edit.kept)
        out[unchanged] = row[unchanged]
    for token, sources in edit.merged.items():
        out[token] = merged_logit(with_bias(row, sources), temperature)
    if edit.only is not None and not np.isfinite(out).any():
        if edit.forced is None:
            raise NoLegalToken(f"all of {sorted(edit.only)} are barred by the logits themselves")
        out[edit.forced] = 0.0  # a written token is generated even if something else has barred it
    return out


def with_bias(row: Row, sources: Sequence[tuple[int, float]]) -> NDArray[np.float64]:
    """The logits of `sources`, pairs of (id, bias), with the biases added."""
    return np.array([row[i] + b for i, b in sources], dtype=np.float64)
