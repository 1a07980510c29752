"""All tables of numbers that are made of a journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from thinkpace.eval.runs.journal import Entry
from thinkpace.eval.runs.point import RunPoint
from thinkpace.eval.stats.at_k_table import AtK, at_k
from thinkpace.eval.stats.curve_table import Curve, curves
from thinkpace.eval.stats.results import Result, results
from thinkpace.eval.stats.tallies import tallies


class Summary(NamedTuple):
    """What a journal's samples come to."""

    results: list[Result]  #: one per setting
    curves: list[Curve]  #: one per line of the plot
    at_k: list[AtK]  #: one per setting and number of samples


def summary(points: Sequence[RunPoint], entries: Sequence[Entry]) -> Summary:
    """The tables of points and their samples."""
    rows = results(points, entries)
    return Summary(rows, curves(rows, tallies(points, entries)), at_k(points, entries))
