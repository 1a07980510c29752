"""Statistics of a whole curve: accuracy over spent tokens, one point per budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]


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
    return round(float(scalings(*_columns(points))), 9)


def scalings(tokens: Rows, accuracy: Rows) -> Rows:
    """`scaling` of many curves: Float[..., points] of tokens and accuracies to Float[...]."""
    first, second = np.triu_indices(tokens.shape[-1], 1)
    gaps = tokens[..., second] - tokens[..., first]
    pairs = np.sum(gaps != 0, axis=-1)
    rises = accuracy[..., second] - accuracy[..., first]
    slopes = np.divide(rises, gaps, out=np.zeros_like(gaps), where=gaps != 0)
    return np.where(pairs, 100_000 * slopes.sum(axis=-1) / np.maximum(pairs, 1), math.nan)


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
    weights = area_weights(points)
    return float(weights @ _columns(points)[1]) if len(weights) else math.nan


def area_weights(points: Sequence[CurvePoint]) -> Rows:
    """The weight of each point's accuracy in the area: Float[points]; empty where the area is undefined."""
    tokens = _columns(points)[0]
    if not len(tokens) or tokens.min() == tokens.max():
        return np.zeros(0)
    order = sorted(range(len(points)), key=lambda i: points[i])
    halves = np.diff(tokens[order]) / (2 * (tokens.max() - tokens.min()))
    weights = np.zeros(len(tokens))
    weights[order] = np.append(halves, 0.0) + np.append(0.0, halves)
    return weights


def tokens_for(points: Sequence[CurvePoint], accuracy: float) -> float:
    """The fewest tokens at which the piecewise linear curve reaches an accuracy; NaN if it never does.

    >>> tokens_for([CurvePoint(0, 0.0), CurvePoint(10, 1.0)], 0.25)
    2.5
    """
    return float(tokens_needed(*_columns(points), np.array(accuracy)))


def tokens_needed(tokens: Rows, accuracy: Rows, goal: Rows) -> Rows:
    """`tokens_for` of many curves: Float[..., points] of tokens and accuracies, Float[...] of goals, to Float[...]."""
    if not tokens.shape[-1]:
        return np.full(goal.shape, math.nan)
    order = np.lexsort((accuracy, tokens), axis=-1)
    spent, reached = (np.take_along_axis(rows, order, -1) for rows in (tokens, accuracy))
    enough = reached >= goal[..., None]
    at = enough.argmax(axis=-1)[..., None]
    before = np.maximum(at - 1, 0)
    right, left, to, start = (
        np.take_along_axis(rows, places, -1)[..., 0]
        for rows, places in ((reached, at), (reached, before), (spent, at), (spent, before))
    )
    rise = right - left
    share = np.divide(goal - left, rise, out=np.ones_like(rise), where=rise > 0)
    return np.where(enough.any(axis=-1), start + share * (to - start), math.nan)


def _columns(points: Sequence[CurvePoint]) -> tuple[Rows, Rows]:
    return np.array([p.tokens for p in points], dtype=float), np.array([p.accuracy for p in points], dtype=float)


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
