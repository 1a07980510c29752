"""Two settings compared on the same questions: paired differences with a test that agrees, Holm's correction, power."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

from thinkpace.eval.stats.effective import Effective, Rights, effective


class Paired(NamedTuple):
    """A setting compared with another one on their common questions. Undefined numbers are NaN.

    Args:
        difference: accuracy of the second minus accuracy of the first, over all samples of the common questions.
        low, high: of its 95 % interval.
        p_value: of the test that belongs to the interval: it is below 0.05 if and only if the interval leaves out 0.
        detectable: the smallest difference that these questions can detect with power 0.8.
    """

    difference: float
    low: float
    high: float
    p_value: float
    detectable: float


def paired(before: Rights, after: Rights, *, confidence: float = 0.95) -> Paired:
    """Compare two settings on their common questions.

    The interval is Tango's score interval for a difference of paired shares (Tango 1998, Statistics in Medicine 17).
    The test is the one that it inverts: with one sample per question, McNemar's without a correction. With several samples,
    the shares are those of pairs of samples of a question, and the number of pairs is the effective number of questions
    (`stats.effective`).

    Args:
        before, after: the samples of both sides.
        confidence: of the interval, between 0 and 1.

    Returns:
        All NaN without common questions; everything but the difference for a single one.

    >>> paired({"a": [False], "b": [True]}, {"a": [True], "b": [True]}).difference
    0.5
    """
    common = [question for question in before if question in after]
    if not common:
        return Paired(*(math.nan,) * 5)
    right, of = (np.array([f(after[question]) for question in common], dtype=float) for f in (sum, len))
    was, out_of = (np.array([f(before[question]) for question in common], dtype=float) for f in (sum, len))
    now, then = float(right.sum() / of.sum()), float(was.sum() / out_of.sum())
    difference, shares, past = now - then, right / of, was / out_of
    if len(common) == 1:
        return Paired(difference, *(math.nan,) * 4)
    discordant = float(np.mean(shares * (1 - past) + past * (1 - shares)))  # of a pair of samples of one question
    residuals = (right - now * of) / of.mean() - (was - then * out_of) / out_of.mean()
    found = effective(
        residuals, discordant - difference**2, float(min(of.sum(), out_of.sum())), len(common) * discordant
    )
    won, lost = max(0.0, (discordant + difference) / 2), max(0.0, (discordant - difference) / 2)
    pairs = found.at(confidence)
    low, high = tango(won * pairs, lost * pairs, pairs, confidence)
    return Paired(difference, low, high, _p_value(won - lost, won + lost, found), _detectable(found, discordant))


def tango(won: float, lost: float, pairs: float, confidence: float = 0.95) -> tuple[float, float]:
    """Tango's score interval for the difference (won - lost) / pairs.

    Args:
        won, lost: numbers of pairs that only one side has right; need not be whole.
        pairs: number of all pairs.
        confidence: between 0 and 1.

    >>> [round(end, 4) for end in tango(9, 3, 32)]
    [-0.0268, 0.3917]
    """
    z, estimate = float(stats.norm.ppf((1 + confidence) / 2)), (won - lost) / pairs

    def score(difference: float) -> float:
        linear = 2 * pairs * difference - (won - lost) * difference - won - lost
        root = math.sqrt(max(0.0, linear**2 + 8 * pairs * lost * difference * (1 - difference)))
        losing = (root - linear) / (4 * pairs)  # the likeliest share of lost pairs at this difference
        variance = pairs * (2 * losing + difference * (1 - difference))
        gap = won - lost - pairs * difference
        return gap / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, gap) if gap else 0.0

    return _end(score, -1.0, estimate, z), _end(score, 1.0, estimate, -z)


def _end(score: Callable[[float], float], far: float, estimate: float, wanted: float) -> float:
    """Where the score, which is 0 at the estimate, reaches a value on the way to `far`."""
    inside = far + 1e-12 * math.copysign(1, -far)
    if abs(score(inside)) <= abs(wanted) or (abs(estimate) >= 1 and math.copysign(1, far) == estimate):
        return far
    return float(optimize.brentq(lambda x: max(-1e6, min(1e6, score(x))) - wanted, inside, estimate))


def _p_value(difference: float, discordant: float, found: Effective) -> float:
    """The p-value of the score test at 0, with the effective number that belongs to each level."""
    if not difference:
        return 1.0
    score = abs(difference) / math.sqrt(discordant)
    student = 2 * float(stats.t.sf(math.sqrt(found.number) * score, found.freedom))
    fewest, most = (2 * float(stats.norm.sf(math.sqrt(n) * score)) for n in (found.least, found.most))
    return min(fewest, max(student, most))


def adjusted(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for multiple comparisons by Holm's step-down method (Holm 1979, Scand. J. Statist. 6).

    NaN stays NaN and does not count as a comparison.

    >>> [round(p, 4) for p in adjusted([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    defined = [p for p in p_values if not math.isnan(p)]
    if not defined:
        return list(p_values)
    from statsmodels.stats.multitest import multipletests  # takes a second to import

    corrected = iter(multipletests(defined, method="holm")[1].tolist())
    return [p if math.isnan(p) else next(corrected) for p in p_values]


def _detectable(found: Effective, discordant: float) -> float:
    return detectable(found.at(0.95), discordant) if discordant else math.nan


def detectable(questions: float, discordant: float, *, power: float = 0.8, significance: float = 0.05) -> float:
    """The smallest paired difference of accuracy that a set of this size can detect.

    From the normal approximation to McNemar's test (Connor 1987, Biometrics 43): the d that solves
    sqrt(n) d = z_(1-a/2) sqrt(q) + z_power sqrt(q - d^2) for the share q of discordant questions.

    Args:
        questions: their effective number, 1 or more.
        discordant: share of pairs of samples of which only one is right, in (0, 1].
        power, significance: between 0 and 1.

    Returns:
        In (0, 1]; NaN if even a win of one side on all discordant questions would not suffice.

    Raises:
        ValueError: if `questions` or `discordant` is out of range.

    >>> round(detectable(500, 0.2), 3)
    0.056
    """
    if questions < 1 or not 0 < discordant <= 1:
        raise ValueError(f"needs questions >= 1 and 0 < discordant <= 1, got {questions!r} and {discordant!r}")
    alpha, beta = stats.norm.ppf(1 - significance / 2), stats.norm.ppf(power)

    def short(d: float) -> float:
        return float(
            math.sqrt(questions) * d - alpha * math.sqrt(discordant) - beta * math.sqrt(max(0.0, discordant - d * d))
        )

    most = min(1.0, math.sqrt(discordant), discordant)
    return float(optimize.brentq(short, 0.0, most)) if short(most) >= 0 else math.nan
