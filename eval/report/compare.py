"""Compare settings on the same questions, from one sweep or several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.table import Table

from thinkpace.eval.report.publish import JOURNAL
from thinkpace.eval.report.terminal import percent
from thinkpace.eval.runs.journal import Journal
from thinkpace.eval.stats.comparisons import Paired, adjusted, paired
from thinkpace.eval.stats.effective import Rights
from thinkpace.eval.stats.intervals import accuracy_interval
from thinkpace.eval.stats.results import engine_names, rights_of


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row. Undefined numbers are NaN.

    Args:
        name: engine, prompt and controls; with several sweeps also the folder.
        accuracy: over all questions of the row.
        questions: number of questions shared with the reference row.
        difference, low, high: of accuracy, paired on the shared questions, with Tango's interval.
        p_value: of the test that this interval inverts (McNemar's, with one sample per question).
        p_adjusted: the p-value corrected for all rows (Holm).
        detectable: the smallest difference that these questions can detect with power 0.8.
    """

    name: str
    accuracy: float
    questions: int
    difference: float
    low: float
    high: float
    p_value: float
    p_adjusted: float
    detectable: float


_ITSELF = Paired(math.nan)


def row_of(text: str) -> int:
    """Parse the row number of --against.

    Raises:
        ValueError: if the text is not a whole number.
    """
    if not text.isdecimal() or not int(text):
        raise ValueError(f"--against takes the number of a row, from 1; got {text!r}")
    return int(text)


def compare(folders: Sequence[Path], against: int = 1) -> list[Comparison]:
    """Compare all settings of some sweeps with one reference row.

    Args:
        folders: of sweeps on the same questions.
        against: number of the reference row, from 1.

    Raises:
        ValueError: if there is no such row or nothing to compare, or if a question id has different texts or answers.
    """
    rows = list[tuple[str, Rights]]()
    questions: dict[str, tuple[str, str]] = {}
    for folder in folders:
        with Journal(folder / JOURNAL, read_only=True) as journal:
            for name, question in journal.questions.items():
                if questions.setdefault(name, question) != question:
                    raise ValueError(f"{folder} asks something else as question {name!r}: these are not the same task")
            points, entries = journal.points, [*journal.entries()]
        engines = engine_names(points)
        for point in points:
            where = f"{folder}: " if len(folders) > 1 else ""
            name = f"{where}{engines[point.variant[:2]]}, {point.prompt}, {point.setting.name}"
            of_point = [entry for entry in entries if entry.point == point.id]
            rows.append((name, rights_of(of_point)))
    rows = [row for row in rows if row[1]]
    if len(rows) < 2:
        raise ValueError("there is nothing to compare: one setting with samples, or none")
    if against > len(rows):
        raise ValueError(f"--against {against}: there are {len(rows)} rows")
    before = rows[against - 1][1]
    if not any(set(before) & set(row) for _, row in rows if row is not before):
        raise ValueError("these sweeps have no question in common: there is nothing to compare")
    pairs = [_ITSELF if after is before else paired(before, after) for _, after in rows]
    corrected = adjusted([pair.p_value for pair in pairs])
    return [
        Comparison(
            name=name,
            accuracy=accuracy_interval(list(after.values()))[0],
            questions=len(set(before) & set(after)),
            difference=pair.difference,
            low=pair.interval()[0],
            high=pair.interval()[1],
            p_value=pair.p_value,
            p_adjusted=p_adjusted,
            detectable=pair.detectable,
        )
        for (name, after), pair, p_adjusted in zip(rows, pairs, corrected, strict=True)
    ]


def comparison_table(rows: Sequence[Comparison]) -> Table:
    """The comparison as a table for a terminal."""
    out = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for column in ("row", "accuracy", "of", "difference (95 %)", "p", "p, Holm", "detectable"):
        out.add_column(column, justify="right", no_wrap=True)
    for number, row in enumerate(rows, 1):
        points = [f"{100 * x:+.1f}" for x in (row.difference, row.low, row.high)]
        alone = "nothing in common" if not row.questions else "compared with"
        gained = alone if math.isnan(row.p_value) else f"{points[0]} ({points[1]} to {points[2]})"
        shown = ["" if math.isnan(p) else f"{p:.2g}" for p in (row.p_value, row.p_adjusted)]
        least = "" if math.isnan(row.detectable) else f"{100 * row.detectable:.1f}"
        out.add_row(str(number), percent(row.accuracy), str(row.questions), gained, *shown, least)
    names = [f"{number}: {row.name}" for number, row in enumerate(rows, 1)]
    out.caption = "\n".join(
        [*names, "Points; Tango's interval and its test, Holm's correction; detectable with power 0.8."]
    )
    out.caption_justify = "left"
    return out
