"""Row statistics in numpy: entropy, top probability, close margin; and the confidence of a trial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def row_statistic(row: NDArray[np.floating], kind: str, closes: Sequence[int]) -> float:
    """A row statistic at temperature 1.

    Args:
        row: logits before any edit, shape (vocabulary,); -inf for unused ids.
        kind: "entropy" (nats), "top_probability" or "close_margin" (nats; infinite if `closes` is empty).
        closes: the ids that close thinking.
    """
    if kind == "close_margin":  # equal for logits and log-probabilities
        return float(row.max()) - max((float(row[i]) for i in closes), default=-np.inf)
    logs = log_probabilities(row)
    if kind == "entropy":
        finite = logs[np.isfinite(logs)]
        return float(-(np.exp(finite) * finite).sum())
    return float(np.exp(logs.max()))


def log_probabilities(row: NDArray[np.floating]) -> NDArray[np.float64]:
    """The log-probabilities of a row of logits at temperature 1, shape (vocabulary,)."""
    shifted = np.subtract(row, row.max(), dtype=np.float64)
    logs: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return logs


def confidence(log_probabilities: Sequence[float]) -> float:
    """Of a trial: the geometric mean of the probabilities of all tokens but the first; 0 if there are none."""
    rest = log_probabilities[1:]
    return float(np.exp(np.mean(rest))) if len(rest) else 0.0
