"""Counts per question and setting: what intervals over questions are computed from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from thinkpace.eval.runs.journal import Entry
from thinkpace.eval.runs.point import RunPoint


class Tally(NamedTuple):
    """The samples of one question under one setting; those that ended in an error are left out."""

    samples: int
    right: int
    thinking_tokens: int


Tallies = Mapping[str, Tally]


def tallies(points: Sequence[RunPoint], entries: Iterable[Entry]) -> list[Tallies]:
    """Question -> its tally, for every point that has samples, in the order of the points."""
    by_point: dict[str, dict[str, Tally]] = {}
    for entry in entries:
        of_point = by_point.setdefault(entry.point, {})
        if entry.verdict != "error":
            samples, right, tokens = of_point.get(entry.question, (0, 0, 0))
            of_point[entry.question] = Tally(
                samples + 1, right + (entry.verdict == "right"), tokens + entry.row["thinking_tokens"]
            )
    return [by_point[point.id] for point in points if point.id in by_point]
