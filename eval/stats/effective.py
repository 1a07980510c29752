"""How many questions the samples of a setting are worth.

Samples of one question tell less about other questions than samples of as many questions. A share of question means has
a larger variance than a share of that many independent samples; the effective number is the one that would give it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

#: question -> whether each of its samples was right; at least one sample each
Rights = Mapping[str, Sequence[bool]]

RARE = 2.0  # below so many questions' worth of events, a variance cannot be estimated
#: with fewer degrees of freedom, or questions' worth of events, the power is not what is said (by simulation)
PLANNED_FREEDOM, PLANNED_EVENTS = 16.0, 5.0


@dataclass(frozen=True, slots=True)
class Effective:
    """The effective number of questions, with what is known of its precision.

    Args:
        number: estimated from the variance between questions.
        freedom: degrees of freedom of that variance.
        least, most: the number of questions, and of samples; the effective number lies between them.
        events: how many questions' worth of the rarer outcome there is.
    """

    number: float
    freedom: float
    least: float
    most: float
    events: float

    @property
    def is_known(self) -> bool:
        """Whether the number is known well enough to plan with; with one sample per question it is certain."""
        return self.least == self.most or (self.freedom >= PLANNED_FREEDOM and self.events >= PLANNED_EVENTS)

    def at(self, confidence: float) -> float:
        """The number for an interval from the normal distribution, less where the variance is uncertain (Student)."""
        tail = (1 + confidence) / 2
        shrunk = self.number * (stats.norm.ppf(tail) / stats.t.ppf(tail, self.freedom)) ** 2
        return float(min(max(shrunk, self.least), self.most))


def effective(residuals: NDArray[np.float64], variance: float, samples: float, events: float) -> Effective:
    """The effective number of questions behind a mean.

    Args:
        residuals: Float[questions], what every question adds to the deviation of the mean; they sum to 0.
        variance: of a single sample.
        samples: number of all samples.
        events: how many questions' worth of the rarer outcome there is; below `RARE`, questions are counted.
    """
    questions = len(residuals)
    squares = float(np.sum(residuals**2))
    if questions < 2 or not squares or events < RARE:
        return Effective(questions, math.inf, questions, max(samples, questions), events)
    number = variance * questions * (questions - 1) / squares
    kurtosis = questions * float(np.sum(residuals**4)) / squares**2  # heavy tails: the variance rests on few questions
    freedom = min(max(2 * questions / max(kurtosis - 1, 1e-9), 1.0), questions - 1.0)
    return Effective(number, freedom, questions, max(samples, questions), events)
