"""Two settings compared on the same questions: paired differences with a test that agrees, Holm's correction, power."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from thinkpace.eval.stats.effective import Effective, Rights, effective

UNSEEN = 0.4  # discordant questions that a small set may not have shown; by simulation, with none the power is too low
COUNTED = 40  # up to so many discordant questions, the power of the test is counted


@dataclass(frozen=True, slots=True)
class Paired:
    """A setting compared with another one on their common questions. Undefined numbers are NaN.

    Args:
        difference: accuracy of the second minus accuracy of the first, over all samples of the common questions.
        discordant: share of pairs of samples of a question of which only one is right.
        effective: the effective number of questions; None where nothing but the difference is known.
    """

    difference: float
    discordant: float = math.nan
    effective: Effective | None = None

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Tango's score interval for a difference of paired shares (Tango 1998, Statistics in Medicine 17).

        Args:
            confidence: between 0 and 1.
        """
        if self.effective is None:
            return math.nan, math.nan
        won, lost = ((self.discordant + side * self.difference) / 2 for side in (1, -1))
        pairs = self.effective.at(confidence)
        return tango(max(0.0, won) * pairs, max(0.0, lost) * pairs, pairs, confidence)

    @property
    def p_value(self) -> float:
        """Of the test that the interval inverts: below 0.05 if and only if the 95 % interval leaves out 0.

        With one sample per question it is McNemar's without a correction.
        """
        if self.effective is None:
            return math.nan
        if not self.difference:
            return 1.0
        found, score = self.effective, abs(self.difference) / math.sqrt(self.discordant)
        student = 2 * float(stats.t.sf(math.sqrt(found.number) * score, found.freedom))
        fewest, most = (2 * float(stats.norm.sf(math.sqrt(n) * score)) for n in (found.least, found.most))
        return min(fewest, max(student, most))

    @property
    def detectable(self) -> float:
        """The smallest difference that these questions can detect with power 0.8.

        NaN if no sample differs, or if the variance between several samples' means rests on too few questions.
        """
        if self.effective is None or not self.discordant or not self.effective.is_known:
            return math.nan
        return detectable(self.effective.at(0.95), self.discordant, self.difference)


def paired(before: Rights, after: Rights) -> Paired:
    """Compare two settings on their common questions.

    With several samples per question, the shares are those of pairs of samples of a question, and the number of pairs
    is the effective number of questions (`stats.effective`).

    Args:
        before, after: the samples of both sides.

    Returns:
        Without common questions nothing is known; for a single one, only the difference.

    >>> paired({"a": [False], "b": [True]}, {"a": [True], "b": [True]}).difference
    0.5
    """
    common = [question for question in before if question in after]
    if not common:
        return Paired(math.nan)
    right, of = (np.array([f(after[question]) for question in common], dtype=float) for f in (sum, len))
    was, out_of = (np.array([f(before[question]) for question in common], dtype=float) for f in (sum, len))
    now, then = float(right.sum() / of.sum()), float(was.sum() / out_of.sum())
    difference, shares, past = now - then, right / of, was / out_of
    if len(common) == 1:
        return Paired(difference)
    discordant = float(np.mean(shares * (1 - past) + past * (1 - shares)))
    residuals = (right - now * of) / of.mean() - (was - then * out_of) / out_of.mean()
    return Paired(
        difference,
        discordant,
        effective(residuals, discordant - difference**2, float(min(of.sum(), out_of.sum())), len(common) * discordant),
    )


def tango(won: float, lost: float, pairs: float, confidence: float = 0.95) -> tuple[float, float]:
    """Tango's score interval for the difference (won - lost) / pairs.

    Args:
        won, lost: numbers of pairs that only one side has right; need not be whole.
        pairs: number of all pairs.
        confidence: between 0 and 1.

    >>> [round(end, 4) for end in tango(9, 3, 32)]
    [-0.0271, 0.3897]
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


def detectable(
    questions: float, discordant: float, difference: float = 0.0, *, power: float = 0.8, significance: float = 0.05
) -> float:
    """The smallest paired difference of accuracy that a set of this size can detect.

    The difference d at which the test of `paired` rejects with this power. Of the discordant questions that were seen,
    those that made the observed difference give way to those of d; it cannot be fewer than d. With few discordant
    questions the power is counted (`rejections`); with many it is that of the normal approximation (Connor 1987,
    Biometrics 43).

    Args:
        questions: their effective number, 1 or more.
        discordant: share of pairs of samples of which only one is right, in (0, 1].
        difference: observed, at most `discordant` either way.
        power, significance: between 0 and 1.

    Returns:
        In (0, 1]; NaN if not even a win on every question would suffice.

    Raises:
        ValueError: if `questions` or `discordant` is out of range.

    >>> round(detectable(500, 0.2), 3)
    0.064
    """
    if questions < 1 or not 0 < discordant <= 1:
        raise ValueError(f"needs questions >= 1 and 0 < discordant <= 1, got {questions!r} and {discordant!r}")

    noise = discordant - abs(difference) + UNSEEN / questions

    def short(looked_for: float) -> float:
        share = max(looked_for, min(1.0, noise + looked_for))
        return power - rejections(questions, share, looked_for, significance)

    if short(1.0) > 0:
        return math.nan
    return float(optimize.brentq(short, 1e-9, 1.0, xtol=1e-6))


def rejections(questions: float, discordant: float, difference: float, significance: float = 0.05) -> float:
    """The power of the test for a difference: how often it rejects.

    Args:
        questions: their effective number, 1 or more.
        discordant: share of discordant questions, in (0, 1].
        difference: share that one side wins minus share that it loses, at most `discordant`.
        significance: of the test, between 0 and 1.

    >>> round(rejections(30, 0.2, 0.2), 3)  # of 30 questions, 4 or more have to be won, and none lost
    0.877
    """
    alpha = float(stats.norm.ppf(1 - significance / 2))
    if questions * discordant > COUNTED:
        spread = math.sqrt(max(discordant - difference**2, 1e-12))
        ahead = math.sqrt(questions) * difference
        return float(
            stats.norm.sf((alpha * math.sqrt(discordant) - ahead) / spread)
            + stats.norm.cdf((-alpha * math.sqrt(discordant) - ahead) / spread)
        )
    win, total = (1 + difference / discordant) / 2, max(1, round(questions))
    pairs = np.arange(total + 1)
    most = int(stats.binom.isf(1e-9, total, discordant)) + 1
    pairs = pairs[: most + 1]
    won = np.arange(most + 1)
    rejects = np.abs(2 * won[None, :] - pairs[:, None]) > alpha * np.sqrt(pairs)[:, None]
    chances = stats.binom.pmf(won[None, :], pairs[:, None], win)
    return float(stats.binom.pmf(pairs, total, discordant) @ (chances * rejects).sum(axis=1))
