"""Confidence intervals of accuracies. The bootstrap resamples questions, not samples of questions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 10_000

#: question -> whether each of its samples was right; at least one sample each
Rights = Mapping[str, Sequence[bool]]


def accuracy_interval(
    per_question: Sequence[Sequence[bool]], *, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """Accuracy, and the ends of its confidence interval.

    With one sample per question: Wilson's score interval (Wilson 1927, JASA 22). With several, or unequal numbers: the
    seeded percentile bootstrap over questions (Efron and Tibshirani 1993, chapter 13), each with all its samples; if
    all questions have the same accuracy, Wilson's interval with the number of questions.

    Args:
        per_question: for each question, whether each sample was right; at least one sample each.
        confidence: between 0 and 1.
        seed: of the bootstrap.

    Returns:
        (accuracy, low, high). All NaN without questions; low and high NaN for a single question with several samples.

    Raises:
        ValueError: if a question has no samples.

    >>> accuracy, low, high = accuracy_interval([[True], [True], [False], [True]])
    >>> f"{accuracy:.2f} [{low:.2f}, {high:.2f}]"
    '0.75 [0.30, 0.95]'
    """
    if not per_question:
        return math.nan, math.nan, math.nan
    right = np.array([sum(samples) for samples in per_question], dtype=float)
    count = np.array([len(samples) for samples in per_question], dtype=float)
    if not count.all():
        raise ValueError("a question has no samples")
    accuracy = float(right.sum() / count.sum())
    if (count == 1).all():
        interval = stats.binomtest(int(right.sum()), len(right)).proportion_ci(confidence, method="wilson")
        return accuracy, float(interval.low), float(interval.high)
    if len(right) == 1:
        return accuracy, math.nan, math.nan  # one question tells nothing about other questions
    if len(set((right / count).tolist())) == 1:  # questions do not differ: a bootstrap interval would have no width
        return accuracy, *wilson(accuracy, len(right), confidence)
    accuracies = resampled(len(right), seed, lambda drawn: right[drawn].sum(1) / count[drawn].sum(1))
    low, high = np.quantile(accuracies, [(1 - confidence) / 2, (1 + confidence) / 2])
    return accuracy, float(low), float(high)


def wilson(share: float, questions: int, confidence: float) -> tuple[float, float]:
    """Wilson's interval of a share; share * questions need not be a whole number."""
    z = float(stats.norm.ppf((1 + confidence) / 2))
    middle = (share + z * z / (2 * questions)) / (1 + z * z / questions)
    half = z * math.sqrt(share * (1 - share) / questions + (z / (2 * questions)) ** 2) / (1 + z * z / questions)
    # at the ends rounding would leave the share outside its own interval
    return 0.0 if share == 0 else max(0.0, middle - half), 1.0 if share == 1 else min(1.0, middle + half)


def resampled(questions: int, seed: int, statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]]) -> Any:
    """A statistic of bootstrap resamples of the questions: Float[RESAMPLES], in blocks that fit into memory."""
    rng, block = np.random.default_rng(seed), max(1, min(RESAMPLES, 2_000_000 // questions))
    sizes = [min(block, RESAMPLES - start) for start in range(0, RESAMPLES, block)]
    return np.concatenate([statistic(rng.integers(questions, size=(size, questions))) for size in sizes])
