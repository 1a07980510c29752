"""Which results of a sweep belong to one line, and which of them no other one beats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from thinkpace.eval.stats.curves import CurvePoint, pareto
from thinkpace.eval.stats.results import Result


class Line(NamedTuple):
    """Results that belong together."""

    label: str  #: its name
    points: list[Result]  #: in the order of their tokens
    kind: Literal["budgets", "waits", "controls"]  #: what varies along it; "controls": a budget with other controls


def lines(results: Sequence[Result]) -> list[Line]:
    """The results as lines: along the budgets and along the waits, for every engine, prompt and list of controls.

    Controls that come with a budget are a line of their own; what is alone is a line of one point.
    """
    several = len({(r.engine, r.prompt) for r in results}) > 1
    fewest = min((r.waits for r in results if r.is_forcing), default=0)
    plain = next((r.line for r in results if r.is_forcing), "")
    found: dict[str, Line] = {}
    for r in (r for r in results if not math.isnan(r.accuracy)):
        kind: Literal["budgets", "waits", "controls"] = "controls"
        beside = "" if r.line == plain else r.line.removesuffix(f" + {plain}")
        along = f"{r.waits} wait{'s' * (r.waits > 1)}" if r.waits > fewest and r.max_tokens is not None else ""
        if not along and r.line == plain:
            kind = "waits" if r.waits > fewest else "budgets"
            along = "waits, no budget" if kind == "waits" else f"budget, {fewest or 'no'} wait{'s' * (fewest != 1)}"
        variant = f"{r.engine}, {r.prompt}: " if several else ""
        label = variant + ", ".join(filter(None, (beside, along)))
        found.setdefault(label, Line(label, [], kind)).points.append(r)
    for r in [r for r in results if r.is_forcing and r.max_tokens is None and r.waits == fewest]:
        for line in found.values():  # where the line of the waits begins
            first = line.points[0]
            if line.kind == "waits" and (first.engine, first.prompt) == (r.engine, r.prompt):
                line.points.append(r)
    return [line._replace(points=sorted(line.points, key=lambda r: r.thinking_tokens_mean)) for line in found.values()]


def front(results: Sequence[Result]) -> list[Result]:
    """The Pareto set, from the fewest thinking tokens on."""
    known = [r for r in results if not math.isnan(r.accuracy)]
    return [known[i] for i in pareto([CurvePoint(r.thinking_tokens_mean, r.accuracy) for r in known])]
