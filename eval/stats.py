"""Intervals of an accuracy. Questions are what is resampled: several samples of one question are no new questions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

RESAMPLES = 10_000


def accuracy_interval(
    per_question: Sequence[Sequence[bool]], *, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """Accuracy, and the ends of its confidence interval.

    With one sample per question: Wilson's score interval (Wilson 1927, JASA 22). With several, or unevenly many: the
    percentile bootstrap over questions (Efron and Tibshirani 1993, chapter 13), each with all its samples, seeded.

    Args:
        per_question: for each question, whether each sample was right; at least one sample each.
        confidence: between 0 and 1.
        seed: of the bootstrap.

    Returns:
        (accuracy, low, high); three NaN if there is no question, no ends if several samples are of one question.

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
        return accuracy, math.nan, math.nan  # one question says nothing of others
    drawn = np.random.default_rng(seed).integers(len(right), size=(RESAMPLES, len(right)))
    resampled = right[drawn].sum(1) / count[drawn].sum(1)
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return accuracy, float(low), float(high)


def paired_difference(
    before: Mapping[str, Sequence[bool]],
    after: Mapping[str, Sequence[bool]],
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float, float]:
    """How much more often `after` is right than `before` on the questions of both, and the ends of its interval.

    The percentile bootstrap over questions (Efron and Tibshirani 1993, chapter 13), each with all its samples on both
    sides, seeded: what differs between questions but not between the two does not widen it.

    Args:
        before, after: question -> whether each sample was right; at least one sample each.
        confidence: between 0 and 1.
        seed: of the bootstrap.

    Returns:
        (difference, low, high); three NaN if the two have no question in common.

    >>> paired_difference({"a": [False], "b": [True]}, {"a": [True], "b": [True]})[0]
    0.5
    """
    common = [question for question in before if question in after]
    if not common:
        return math.nan, math.nan, math.nan
    gains = np.array([np.mean(after[question]) - np.mean(before[question]) for question in common])
    drawn = np.random.default_rng(seed).integers(len(gains), size=(RESAMPLES, len(gains)))
    low, high = np.quantile(gains[drawn].mean(1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(gains.mean()), float(low), float(high)
