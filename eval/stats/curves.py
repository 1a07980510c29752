"""Statistics of a whole curve: accuracy over spent tokens, one point per budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np


class CurvePoint(NamedTuple):
    """One setting."""

    tokens: float  #: spent, mean over samples
    accuracy: float  #: in [0, 1]


def control(spent: Sequence[float], limits: Sequence[float | None], minima: Sequence[float] | None = None) -> float:
    """s1's Control: the share of settings whose thinking tokens stay within the prescribed range, in [0, 1].

    Args:
        spent: thinking tokens per setting.
        limits: prescribed maxima; None for no limit.
        minima: prescribed minima; 0 by default.

    Returns:
        NaN without settings.

    Source: s1, arXiv 2501.19393 v3, section 3.2.
    """
    least = [0.0] * len(spent) if minima is None else minima
    within = [
        low <= tokens <= (math.inf if high is None else high)
        for tokens, low, high in zip(spent, least, limits, strict=True)
    ]
    return float(np.mean(within)) if within else math.nan


def scaling(points: Sequence[CurvePoint]) -> float:
    """s1's Scaling: the mean slope between all pairs of points, in percentage points per 1,000 tokens.

    s1 states no unit, so this number cannot be compared with theirs. Pairs with the same tokens have no slope and are
    left out. Pairs of close points weigh as much as others, which makes the mean sensitive to them.

    Returns:
        NaN if there is no pair.

    Source: s1, arXiv 2501.19393 v3, section 3.2.

    >>> scaling([CurvePoint(0, 0.2), CurvePoint(1000, 0.3), CurvePoint(2000, 0.5)])
    15.0
    """
    slopes = [
        (b.accuracy - a.accuracy) / (b.tokens - a.tokens)
        for a, b in combinations(sorted(points), 2)
        if b.tokens != a.tokens
    ]
    return round(float(np.mean(slopes)) * 100_000, 9) if slopes else math.nan


def performance(points: Sequence[CurvePoint]) -> float:
    """s1's Performance: the highest accuracy of any setting; NaN without points."""
    return max((point.accuracy for point in points), default=math.nan)


def area(points: Sequence[CurvePoint]) -> float:
    """The mean accuracy over the tokens between the first and the last point, by the trapezoidal rule.

    Returns:
        NaN if all points have the same tokens, or there is only one.

    >>> area([CurvePoint(0, 0.0), CurvePoint(10, 1.0)])
    0.5
    """
    ordered = sorted(points)
    if not ordered or ordered[0].tokens == ordered[-1].tokens:
        return math.nan
    tokens, accuracy = np.array(ordered).T
    return float(np.trapezoid(accuracy, tokens) / (tokens[-1] - tokens[0]))


def tokens_for(points: Sequence[CurvePoint], accuracy: float) -> float:
    """The fewest tokens at which the piecewise linear curve reaches an accuracy; NaN if it never does.

    >>> tokens_for([CurvePoint(0, 0.0), CurvePoint(10, 1.0)], 0.25)
    2.5
    """
    ordered = sorted(points)
    for i, point in enumerate(ordered):
        if point.accuracy >= accuracy:
            if i == 0 or ordered[i - 1].accuracy >= accuracy:
                return point.tokens
            before = ordered[i - 1]
            share = (accuracy - before.accuracy) / (point.accuracy - before.accuracy)
            return before.tokens + share * (point.tokens - before.tokens)
    return math.nan


def pareto(points: Sequence[CurvePoint]) -> list[int]:
    """The Pareto front: points for which no other one is at least as good in accuracy and tokens and better in one.

    Returns:
        Their indices, from the fewest tokens on.

    >>> pareto([CurvePoint(10, 0.5), CurvePoint(20, 0.4), CurvePoint(30, 0.9)])
    [0, 2]
    """
    best, out = -math.inf, list[int]()
    for i in sorted(range(len(points)), key=lambda i: (points[i].tokens, -points[i].accuracy, i)):
        if points[i].accuracy > best:
            best = points[i].accuracy
            out.append(i)
    return out


def underthinking(lengths: Sequence[int], first_right: Sequence[int | None]) -> float:
    """TIP's underthinking score: over wrong responses, the mean share of tokens after the first right thought.

    Args:
        lengths: tokens of each wrong response, 1 or more.
        first_right: tokens up to the end of its first right thought; None where no thought is right, which scores 0.

    Returns:
        In [0, 1]; NaN without responses.

    Raises:
        ValueError: if a response is empty, or a thought does not end inside its response.

    Source: TIP, arXiv 2501.18585, section 3. A judge decides which thought is right: TIP uses two language models. The
    first occurrence of the known answer is only a surrogate, and does not give their score.

    >>> underthinking([100, 50], [25, None])
    0.375
    """
    if not lengths:
        return math.nan
    shares = list[float]()
    for length, first in zip(lengths, first_right, strict=True):
        if length < 1 or (first is not None and not 0 <= first <= length):
            raise ValueError(f"a right thought at token {first!r} of {length}: it must end inside its response")
        shares.append(0.0 if first is None else 1 - first / length)
    return float(np.mean(shares))
