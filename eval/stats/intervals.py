"""Confidence intervals of shares and means over questions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from thinkpace.eval.stats.effective import effective

RESAMPLES = 10_000


def accuracy_interval(
    per_question: Sequence[Sequence[bool]], *, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Accuracy over all samples, and the ends of its confidence interval.

    The interval of Agresti and Coull (1998, Am. Stat. 52): Wilson's, moved and widened near 0 and 1, with the effective
    number of questions (`stats.effective`). With one sample per question that is the number of questions.

    Args:
        per_question: for each question, whether each sample was right; at least one sample each.
        confidence: between 0 and 1.

    Returns:
        (accuracy, low, high). All NaN without questions; low and high NaN for a single question with several samples.

    Raises:
        ValueError: if a question has no samples.

    >>> accuracy, low, high = accuracy_interval([[True], [True], [False], [True]])
    >>> f"{accuracy:.2f} [{low:.2f}, {high:.2f}]"
    '0.75 [0.29, 0.97]'
    """
    return share_interval([sum(samples) for samples in per_question], [*map(len, per_question)], confidence=confidence)


def share_interval(
    right: Sequence[float], count: Sequence[float], *, confidence: float = 0.95
) -> tuple[float, float, float]:
    """A share over questions, and the ends of its interval, as in `accuracy_interval`.

    Args:
        right: per question, the sum of its values, each between 0 and 1.
        count: per question, how many values.
        confidence: between 0 and 1.
    """
    if not right:
        return math.nan, math.nan, math.nan
    made, of = np.array(right, dtype=float), np.array(count, dtype=float)
    if not of.all():
        raise ValueError("a question has no samples")
    share = float(made.sum() / of.sum())
    if len(made) == 1 and of[0] > 1:
        return share, math.nan, math.nan  # one question tells nothing about other questions
    found = effective(
        (made - share * of) / of.mean(), share * (1 - share), float(of.sum()), len(made) * min(share, 1 - share)
    )
    from statsmodels.stats.proportion import proportion_confint  # takes a second to import

    number = found.at(confidence)
    low, high = proportion_confint(share * number, number, 1 - confidence, method="agresti_coull")
    return share, max(0.0, min(share, float(low))), min(1.0, max(share, float(high)))


def mean_interval(per_question: Sequence[Sequence[float]], *, confidence: float = 0.95) -> tuple[float, float, float]:
    """The mean over all samples, and the ends of Student's interval, from the variance between questions.

    Returns:
        (mean, low, high). All NaN without questions; low and high NaN for a single question.

    Raises:
        ValueError: if a question has no samples.

    >>> mean_interval([[1.0], [3.0]])[0]
    2.0
    """
    if not per_question:
        return math.nan, math.nan, math.nan
    total, of = (np.array([float(f(samples)) for samples in per_question]) for f in (math.fsum, len))
    if not of.all():
        raise ValueError("a question has no samples")
    mean, questions = float(total.sum() / of.sum()), len(total)
    if questions == 1:
        return mean, math.nan, math.nan
    residuals = (total - mean * of) / of.mean()
    error = math.sqrt(float(np.sum(residuals**2)) / (questions - 1) / questions)
    half = float(stats.t.ppf((1 + confidence) / 2, questions - 1)) * error
    return mean, mean - half, mean + half


def resampled(questions: int, seed: int, statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]]) -> Any:
    """A statistic of bootstrap resamples of the questions: Float[RESAMPLES], in blocks that fit into memory."""
    rng, block = np.random.default_rng(seed), max(1, min(RESAMPLES, 2_000_000 // questions))
    sizes = [min(block, RESAMPLES - start) for start in range(0, RESAMPLES, block)]
    return np.concatenate([statistic(rng.integers(questions, size=(size, questions))) for size in sizes])
