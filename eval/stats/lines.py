"""Group the results of a sweep into the lines of its plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from thinkpace.eval.stats.results import Result


class Line(NamedTuple):
    """One line of the plot."""

    label: str  #: its name
    points: list[Result]  #: in the order of their mean thinking tokens
    kind: Literal["budgets", "waits", "controls"]  #: what varies along it; "controls": a budget beside other controls


def lines(results: Sequence[Result]) -> list[Line]:
    """Group results into lines along budgets and along waits, for every engine, prompt and list of controls.

    Controls beside a budget form a line of their own; a single result is a line of one point.
    """
    several = len({(r.engine, r.prompt) for r in results}) > 1
    fewest = min((r.waits for r in results if r.is_forcing), default=0)
    plain = next((r.line for r in results if r.is_forcing), "")
    groups: dict[str, Line] = {}
    for r in (r for r in results if not math.isnan(r.accuracy)):
        kind: Literal["budgets", "waits", "controls"] = "controls"
        beside = "" if r.line == plain else r.line.removesuffix(f" + {plain}")
        along = f"{r.waits} wait{'s' * (r.waits > 1)}" if r.waits > fewest and r.max_tokens is not None else ""
        if not along and r.line == plain:
            kind = "waits" if r.waits > fewest else "budgets"
            along = "waits, no budget" if kind == "waits" else f"budget, {fewest or 'no'} wait{'s' * (fewest != 1)}"
        variant = f"{r.engine}, {r.prompt}: " if several else ""
        label = variant + ", ".join(filter(None, (beside, along)))
        groups.setdefault(label, Line(label, [], kind)).points.append(r)
    for r in [r for r in results if r.is_forcing and r.max_tokens is None and r.waits == fewest]:
        for line in groups.values():  # the first point of the line of waits
            first = line.points[0]
            if line.kind == "waits" and (first.engine, first.prompt) == (r.engine, r.prompt):
                line.points.append(r)
    return [line._replace(points=sorted(line.points, key=lambda r: r.thinking_tokens_mean)) for line in groups.values()]


def front(results: Sequence[Result]) -> list[Result]:
    """The rows on the front, from the fewest thinking tokens on: `Result.on_front`."""
    return sorted((r for r in results if r.on_front), key=lambda r: r.thinking_tokens_mean)
