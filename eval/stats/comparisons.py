"""Two settings compared on the same questions: paired differences, McNemar's test, Holm's correction, power."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from thinkpace.eval.stats.intervals import Rights, resampled, wilson

#: question -> whether its first sample was right
Firsts = Mapping[str, bool]


def paired_difference(
    before: Rights,
    after: Rights,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Accuracy of `after` minus accuracy of `before` on their common questions, and the ends of its interval.

    Both accuracies are over all samples of these questions.

    The interval is the seeded percentile bootstrap over questions (Efron and Tibshirani 1993, chapter 13), each with
    all its samples on both sides: differences between questions that affect both sides alike do not widen it. If all
    questions gain the same, the bootstrap interval would have no width. Then a share of questions, Wilson's upper bound
    for 0 of the common ones, is assumed to gain -1 (low end) or 1 (high end) instead.

    Args:
        before, after: the samples of both sides.
        confidence: between 0 and 1.
        seed: of the bootstrap.

    Returns:
        (difference, low, high). All NaN without common questions; low and high NaN for a single one.

    >>> paired_difference({"a": [False], "b": [True]}, {"a": [True], "b": [True]})[0]
    0.5
    """
    common = [question for question in before if question in after]
    if not common:
        return math.nan, math.nan, math.nan
    # Float[4, questions]: right and all samples of `after`, then of `before`
    counts = np.array(
        [[f(side[question]) for question in common] for side in (after, before) for f in (sum, len)], dtype=float
    )

    def gain(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        won, of, lost, out_of = counts[:, drawn].sum(-1)
        return np.asarray(won / of - lost / out_of)

    difference = float(gain(np.arange(len(common))))
    if len(common) == 1:
        return difference, math.nan, math.nan
    gains = counts[0] / counts[1] - counts[2] / counts[3]
    if len(set(gains.tolist())) == 1:
        _, unseen = wilson(0.0, len(common), confidence)
        return difference, difference - unseen * (1 + difference), difference + unseen * (1 - difference)
    low, high = np.quantile(resampled(len(common), seed, gain), [(1 - confidence) / 2, (1 + confidence) / 2])
    return difference, float(low), float(high)


def mcnemar(before: Firsts, after: Firsts) -> float:
    """The p-value of McNemar's exact test for a difference between two settings, on their first samples.

    Under the null hypothesis, a question that only one setting answers right favours either one with probability 1/2
    (McNemar 1947, Psychometrika 12; exact binomial form).

    Returns:
        NaN without common questions; 1 if no question is right in only one setting.
    """
    common = [question for question in before if question in after]
    if not common:
        return math.nan
    won = sum(after[question] and not before[question] for question in common)
    lost = sum(before[question] and not after[question] for question in common)
    return float(stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0


def discordant(before: Firsts, after: Firsts) -> tuple[int, float]:
    """The number of common questions, and the share of them whose first sample is right in only one setting."""
    common = [question for question in before if question in after]
    different = sum(before[question] != after[question] for question in common)
    return len(common), different / len(common) if common else math.nan


class Outcome(NamedTuple):
    """Which samples of a setting are right."""

    rights: Rights  #: all samples of every question
    firsts: Firsts  #: first samples that did not fail


class Paired(NamedTuple):
    """A setting compared with another one on their common questions. Undefined numbers are NaN.

    Args:
        difference, low, high: as in `paired_difference`.
        p_value: of McNemar's exact test.
        detectable: the smallest difference that these questions can detect with power 0.8.
    """

    difference: float
    low: float
    high: float
    p_value: float
    detectable: float


def paired(before: Outcome, after: Outcome, seed: int = 0) -> Paired:
    """Compare two settings on their common questions.

    Args:
        before, after: the samples of both sides.
        seed: of the bootstrap.
    """
    shared, different = discordant(before.firsts, after.firsts)
    return Paired(
        *paired_difference(before.rights, after.rights, seed=seed),
        mcnemar(before.firsts, after.firsts),
        detectable(shared, different) if shared and different else math.nan,
    )


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


def detectable(questions: int, discordant: float, *, power: float = 0.8, significance: float = 0.05) -> float:
    """The smallest paired difference of accuracy that a set of this size can detect.

    From the normal approximation to McNemar's test (Connor 1987, Biometrics 43): the d that solves
    sqrt(n) d = z_(1-a/2) sqrt(q) + z_power sqrt(q - d^2) for the share q of discordant questions.

    Args:
        questions: 1 or more.
        discordant: share of questions that only one of the two settings answers right, in (0, 1].
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
