"""Summary statistics of the curves of a sweep: one row per line of its plot, with intervals over questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from thinkpace.eval.stats.curves import (
    CurvePoint,
    area,
    area_weights,
    control,
    performance,
    scaling,
    scalings,
    tokens_for,
    tokens_needed,
)
from thinkpace.eval.stats.intervals import resampled, share_interval
from thinkpace.eval.stats.lines import Line, lines
from thinkpace.eval.stats.results import Result
from thinkpace.eval.stats.tallies import Tallies

UNDEFINED = 0.01  # an interval is undefined if a number is in more than this share of the resamples


@dataclass(frozen=True, slots=True)
class Curve:
    """One row of `curves.csv`. Tokens are thinking tokens, the mean over samples. Undefined numbers are NaN.

    Intervals are 95 %, over questions: docs/statistics.md says how each is made.

    Args:
        line: name of the line.
        settings: number of points on it.
        control: share of the settings with a limit whose mean stays within it (s1, section 3.2).
        scaling, scaling_low, scaling_high: mean slope over all pairs, in percentage points per 1,000 thinking tokens
            (s1 states no unit).
        performance, performance_low, performance_high: the highest accuracy, and the interval of that setting; nothing
            corrects for its being the best of several.
        area, area_low, area_high: mean accuracy between the first and the last point.
        saved_at_equal_accuracy, saved_low, saved_high: share of tokens that this line saves against the first line,
            both taken where they reach the first line's highest accuracy; NaN if this line never does or shares that
            point, and for the first line.
        why_undefined: why numbers are NaN; empty if none is.
    """

    line: str
    settings: int
    control: float
    scaling: float
    scaling_low: float
    scaling_high: float
    performance: float
    performance_low: float
    performance_high: float
    area: float
    area_low: float
    area_high: float
    saved_at_equal_accuracy: float
    saved_low: float
    saved_high: float
    why_undefined: str


def curves(results: Sequence[Result], tallies: Sequence[Tallies]) -> list[Curve]:
    """One row per line of the plot.

    Args:
        results: one per setting.
        tallies: of the same settings.
    """
    drawn = lines(results)
    if not drawn:
        return []
    of = {id(result): tally for result, tally in zip(results, tallies, strict=True)}
    means = _Resamples([of[id(r)] for line in drawn for r in line.points])
    starts = np.cumsum([0, *(len(line.points) for line in drawn)]).tolist()
    sides = [means.part(start, start + len(line.points)) for start, line in zip(starts, drawn, strict=False)]
    return [
        _curve(line, drawn[0], [of[id(r)] for r in line.points], side, sides[0])
        for line, side in zip(drawn, sides, strict=True)
    ]


class _Means(NamedTuple):
    """Means of the points of a line in every resample of the questions."""

    tokens: NDArray[np.float64]  #: Float[resamples, points]
    accuracy: NDArray[np.float64]  #: Float[resamples, points]
    questions: int


class _Resamples:
    """The means of all points in bootstrap resamples of the questions, the same questions for all of them."""

    def __init__(self, tallies: Sequence[Tallies]) -> None:
        questions = list(dict.fromkeys(question for of in tallies for question in of))
        empty = (0, 0, 0)
        counts = np.array(
            [[of.get(q, empty) for q in questions] for of in tallies], dtype=float
        )  # points, questions, 3
        counts = np.ascontiguousarray(counts.transpose(1, 0, 2).reshape(len(questions), -1))

        def statistic(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
            places = drawn + len(questions) * np.arange(len(drawn))[:, None]
            times = np.bincount(places.ravel(), minlength=drawn.size).reshape(drawn.shape)
            return np.asarray(times @ counts)  # sums of whole numbers: exact in any order

        self.questions = len(questions)
        sums = resampled(len(questions), 0, statistic).reshape(-1, len(tallies), 3)
        with np.errstate(invalid="ignore"):  # a setting without samples in a resample is undefined there
            self._accuracy, self._tokens = sums[:, :, 1] / sums[:, :, 0], sums[:, :, 2] / sums[:, :, 0]

    def part(self, start: int, above: int) -> _Means:
        return _Means(self._tokens[:, start:above], self._accuracy[:, start:above], self.questions)


def _curve(line: Line, first: Line, tallies: Sequence[Tallies], means: _Means, firsts: _Means) -> Curve:
    points, others = ([CurvePoint(r.thinking_tokens_mean, r.accuracy) for r in one.points] for one in (line, first))
    goal, best = performance(others), max(line.points, key=lambda r: r.accuracy)
    reached, needed = tokens_for(points, goal), tokens_for(others, goal)
    prescribed = [r for r in line.points if r.max_tokens is not None]
    shared = line is not first and any(r is other and r.accuracy == goal for r in line.points for other in first.points)
    saved = math.nan if line is first or shared or not needed else 1 - reached / needed
    saved_low = saved_high = math.nan
    if not math.isnan(saved):
        goals = firsts.accuracy.max(axis=-1)
        spent, against = (tokens_needed(one.tokens, one.accuracy, goals) for one in (means, firsts))
        with np.errstate(divide="ignore", invalid="ignore"):
            saved_low, saved_high = _ends(1 - spent / against, saved, means.questions)
    slope = scaling(points)
    slope_low, slope_high = _ends(scalings(means.tokens, means.accuracy), slope, means.questions)
    area_low, area_high = _area_interval(points, tallies)
    reasons = [
        "one point has no slope and no area" if len({point.tokens for point in points}) < 2 else "",
        "no setting of it has a limit" if not prescribed else "",
        "it is what the others are compared with" if line is first else "",
        "it shares the point at which the first line is best" if shared else "",
        "it does not reach the accuracy of the first line" if line is not first and math.isnan(reached) else "",
        "the first line is at its best without tokens" if line is not first and not needed else "",
        "what is saved is the same in all resamples, or undefined in some"
        if not math.isnan(saved) and math.isnan(saved_low)
        else "",
    ]
    return Curve(
        line=line.label,
        settings=len(points),
        control=control([r.thinking_tokens_mean for r in prescribed], [r.max_tokens for r in prescribed]),
        scaling=slope,
        scaling_low=slope_low,
        scaling_high=slope_high,
        performance=best.accuracy,
        performance_low=best.ci_low,
        performance_high=best.ci_high,
        area=area(points),
        area_low=area_low,
        area_high=area_high,
        saved_at_equal_accuracy=saved,
        saved_low=saved_low,
        saved_high=saved_high,
        why_undefined="; ".join(filter(None, reasons)),
    )


def _area_interval(points: Sequence[CurvePoint], tallies: Sequence[Tallies]) -> tuple[float, float]:
    """The area is a mean of accuracies with weights: the interval of a share, of what each question adds to it."""
    weights, common = area_weights(points), [q for q in tallies[0] if all(q in of for of in tallies)]
    if not len(weights) or not common:
        return math.nan, math.nan
    shares = np.array([[of[question].right / of[question].samples for of in tallies] for question in common])
    _, low, high = share_interval(np.clip(shares @ weights, 0, 1).tolist(), [1.0] * len(common))
    found = area(points)  # over all questions
    return min(low, found), max(high, found)


def _ends(statistic: NDArray[np.float64], estimate: float, questions: int) -> tuple[float, float]:
    """The ends of the bootstrap's percentile interval, widened for few questions (Hesterberg 2015, Am. Stat. 69).

    NaN where the number itself is undefined, or often in the resamples, or does not vary between them.
    """
    known = np.isfinite(statistic)
    if questions < 2 or math.isnan(estimate) or 1 - known.mean() > UNDEFINED or not np.ptp(statistic[known]):
        return math.nan, math.nan
    tail = float(stats.norm.cdf(math.sqrt(questions / (questions - 1)) * stats.t.ppf(0.025, questions - 1)))
    low, high = np.quantile(statistic[known], [tail, 1 - tail]).tolist()
    return min(low, estimate), max(high, estimate)
