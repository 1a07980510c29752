"""Numbers about a whole curve: accuracy over the tokens that were spent, one point per budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np


class CurvePoint(NamedTuple):
    """One setting. Args: tokens: spent, the mean over samples. accuracy: in [0, 1]."""

    tokens: float
    accuracy: float


def control(spent: Sequence[float], limits: Sequence[float | None], minima: Sequence[float] | None = None) -> float:
    """The share of settings whose spending stays within what was prescribed: s1's Control, in [0, 1].

    Args:
        spent: thinking tokens per setting.
        limits: prescribed at most; None for no limit, which always holds.
        minima: prescribed at least; 0 by default.

    Returns:
        NaN without settings.

    Source: s1, arXiv 2501.19393 v3, section 3.2.
    """
    least = [0.0] * len(spent) if minima is None else minima
    kept = [
        low <= tokens <= (math.inf if high is None else high)
        for tokens, low, high in zip(spent, least, limits, strict=True)
    ]
    return float(np.mean(kept)) if kept else math.nan


def scaling(points: Sequence[CurvePoint]) -> float:
    """s1's Scaling: the mean slope between all pairs of points, in percentage points per 1,000 tokens.

    s1 states no unit, so the number cannot be laid beside theirs. Pairs with the same tokens have no slope and are left
    out; pairs that are close together weigh as much as others, which makes it sensitive to them.

    Returns:
        NaN if there is no pair.

    Source: s1, arXiv 2501.19393 v3, section 3.2.

    >>> scaling([Point(0, 0.2), Point(1000, 0.3), Point(2000, 0.5)])
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
    """The mean accuracy over the tokens between the first and the last point, by trapezoids.

    Returns:
        NaN if all points have the same tokens, or there is only one.

    >>> area([Point(0, 0.0), Point(10, 1.0)])
    0.5
    """
    ordered = sorted(points)
    if not ordered or ordered[0].tokens == ordered[-1].tokens:
        return math.nan
    tokens, accuracy = np.array(ordered).T
    return float(np.trapezoid(accuracy, tokens) / (tokens[-1] - tokens[0]))


def tokens_for(points: Sequence[CurvePoint], accuracy: float) -> float:
    """The fewest tokens at which the piecewise linear curve reaches an accuracy; NaN if it never does.

    >>> tokens_for([Point(0, 0.0), Point(10, 1.0)], 0.25)
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
    """The points that no other one beats: at least as accurate with no more tokens, and better in one of the two.

    Returns:
        Their places, from the fewest tokens on.

    >>> pareto([Point(10, 0.5), Point(20, 0.4), Point(30, 0.9)])
    [0, 2]
    """
    best, out = -math.inf, list[int]()
    for i in sorted(range(len(points)), key=lambda i: (points[i].tokens, -points[i].accuracy, i)):
        if points[i].accuracy > best:
            best = points[i].accuracy
            out.append(i)
    return out


def underthinking(lengths: Sequence[int], first_right: Sequence[int | None]) -> float:
    """TIP's underthinking score over wrong responses: the mean share of tokens that came after the first right thought.

    Args:
        lengths: tokens of each wrong response, 1 or more.
        first_right: tokens up to and with its first right thought; None where no thought is right, which scores 0.

    Returns:
        In [0, 1]; NaN without responses.

    Raises:
        ValueError: if a thought ends behind its response.

    Source: TIP, arXiv 2501.18585, section 3. Which thought is right is for a judge to say: theirs are two language
    models. The first place where the known answer is said is a surrogate, and not their score.

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
