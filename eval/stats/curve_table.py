"""Summary statistics of the curves of a sweep: one row per line of its plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from thinkpace.eval.stats.curves import CurvePoint, area, control, performance, scaling, tokens_for
from thinkpace.eval.stats.lines import lines
from thinkpace.eval.stats.results import Result


@dataclass(frozen=True, slots=True)
class Curve:
    """One row of `curves.csv`. Tokens are thinking tokens, the mean over samples. Undefined numbers are NaN.

    Args:
        line: name of the line.
        settings: number of points on it.
        control: share of the settings with a limit whose mean stays within it (s1, section 3.2).
        scaling: mean slope over all pairs, in percentage points per 1,000 thinking tokens (s1 states no unit).
        performance: the highest accuracy.
        area: mean accuracy between the first and the last point.
        saved_at_equal_accuracy: share of tokens that this line saves against the first line, both taken where they
            reach the first line's highest accuracy; NaN if this line never does or shares that point, and for the first line.
        why_undefined: why numbers are NaN; empty if none is.
    """

    line: str
    settings: int
    control: float
    scaling: float
    performance: float
    area: float
    saved_at_equal_accuracy: float
    why_undefined: str


def curves(results: Sequence[Result]) -> list[Curve]:
    """One row per line of the plot."""
    drawn = lines(results)
    if not drawn:
        return []
    first = [CurvePoint(r.thinking_tokens_mean, r.accuracy) for r in drawn[0].points]
    goal = performance(first)
    out = list[Curve]()
    for i, line in enumerate(drawn):
        points = [CurvePoint(r.thinking_tokens_mean, r.accuracy) for r in line.points]
        reached, needed = tokens_for(points, goal), tokens_for(first, goal)
        prescribed = [r for r in line.points if r.max_tokens is not None]
        shared = i > 0 and any(r is other and r.accuracy == goal for r in line.points for other in drawn[0].points)
        saved = math.nan if i == 0 or shared or not needed else 1 - reached / needed
        reasons = [
            "one point has no slope and no area" if len({point.tokens for point in points}) < 2 else "",
            "no setting of it has a limit" if not prescribed else "",
            "it is what the others are compared with" if i == 0 else "",
            "it shares the point at which the first line is best" if shared else "",
            "it does not reach the accuracy of the first line" if i and math.isnan(reached) else "",
            "the first line is at its best without tokens" if i and not needed else "",
        ]
        out.append(
            Curve(
                line=line.label,
                settings=len(points),
                control=control([r.thinking_tokens_mean for r in prescribed], [r.max_tokens for r in prescribed]),
                scaling=scaling(points),
                performance=performance(points),
                area=area(points),
                saved_at_equal_accuracy=saved,
                why_undefined="; ".join(filter(None, reasons)),
            )
        )
    return out
