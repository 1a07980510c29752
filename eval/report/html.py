"""The HTML page of a sweep: one file that works offline and follows the system's light or dark theme."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from thinkpace.eval.report import plot
from thinkpace.eval.report.atomic import replacing
from thinkpace.eval.report.tables import cell, ledger, result_rows, times
from thinkpace.eval.runs.journal import Entry
from thinkpace.eval.runs.point import RunPoint
from thinkpace.eval.stats.at_k_table import AtK
from thinkpace.eval.stats.results import completion_tokens
from thinkpace.eval.stats.summary import Summary
from thinkpace.version import __version__

BINS = 24  # of a histogram
SHOWN = ("right", "wrong", "truncated", "no_answer", "error")  # verdicts; one sample of each is shown per point
MOST = 6000  # characters of a trace that are shown


def write(
    points: Sequence[RunPoint],
    entries: Sequence[Entry],
    found: Summary,
    path: Path,
    title: str,
    note: str = "",
    made: Sequence[tuple[str, str]] = (),
) -> None:
    """Write `report.html`.

    Args:
        points, entries: of the journal.
        found: their tables; the page shows the same numbers as the CSV files.
        path: of the file.
        title: title of the sweep.
        note: what readers need to know beside the numbers; may be empty.
        made: how the numbers were made, as `provenance` says it.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    rows = [row | {"front": one.on_front} for row, one in zip(result_rows(found.results), found.results, strict=True)]
    by_point: dict[str, list[Entry]] = {point.id: [] for point in points}
    for entry in entries:
        by_point[entry.point].append(entry)
    sampled = [(point, by_point[point.id]) for point in points if by_point[point.id]]
    page = environment.get_template("report.html.j2").render(
        title=title,
        note=note,
        made=made,
        version=__version__,
        rows=rows,
        several=len({(r.engine, r.prompt) for r in found.results}) > 1,
        light=plot.svg(found.results, "", ink=plot.LIGHT),
        dark=plot.svg(found.results, "", ink=plot.DARK),
        curves=[*map(_cells, found.curves)],
        at_k=_powers(found.at_k),
        ledger=[asdict(row) for row in ledger(points, entries)],
        times=[*map(_cells, times(points, entries))],
        histograms=_histograms(sampled),
        traces=[{"name": name_of(point), "samples": [*_traces(of_point)]} for point, of_point in sampled],
        percent=_percent,
        points=_points,
        between=lambda show, low, high: "" if low == "nan" else f"{show(low)} to {show(high)}",
        rounded=lambda text: "undefined" if text == "nan" else f"{float(text):.1f}",
        small=lambda text: "" if text == "nan" else f"{float(text):.2g}",
    )
    with replacing(path) as new:
        new.write_text(page, encoding="utf-8")


def _cells(row: Any) -> dict[str, Any]:
    return {name: cell(value) for name, value in asdict(row).items()}


def _powers(rows: Sequence[AtK]) -> list[dict[str, Any]]:
    """The rows for 1, 2, 4, 8, ... samples, and for all; none if no question has two."""
    most: dict[tuple[str, str, str], int] = {}
    for row in rows:
        most[row.engine, row.prompt, row.controls] = row.k
    kept = [row for row in rows if not row.k & (row.k - 1) or row.k == most[row.engine, row.prompt, row.controls]]
    return [*map(_cells, kept)] if max(most.values(), default=0) > 1 else []


def name_of(point: RunPoint) -> str:
    """A readable name of a point: engine, prompt and controls."""
    return f"{point.engine}, {point.prompt}, {point.setting.name}"


def _percent(text: str) -> str:
    """A share from the tables, in percent."""
    return "undefined" if text == "nan" else f"{100 * float(text):.1f}"


def _points(text: str) -> str:
    """A difference from the tables, in percentage points."""
    return "" if text == "nan" else f"{100 * float(text):+.1f}"


def _histograms(sampled: Iterable[tuple[RunPoint, list[Entry]]]) -> list[dict[str, Any]]:
    """Histograms of output lengths, one per point, with the same bins; heights are between 0 and 1."""
    lengths = {
        name_of(point): [completion_tokens(entry.row["usage"]) for entry in entries if "usage" in entry.row]
        for point, entries in sampled
    }
    most = max((max(of_point) for of_point in lengths.values() if of_point), default=1)
    edges = np.linspace(0, max(1, most), BINS + 1)
    out = []
    for name, of_point in lengths.items():
        if of_point:
            counts = np.histogram(of_point, edges)[0]
            bars = [
                {"height": float(count / counts.max()), "says": f"{low:.0f} to {high:.0f} tokens: {count}"}
                for count, low, high in zip(counts.tolist(), edges, edges[1:], strict=False)
            ]
            median = float(np.median(of_point))
            out.append(
                {"name": name, "bars": bars, "median": f"{median:g}", "most": max(of_point), "edge": f"{most:g}"}
            )
    return out


def _traces(entries: Sequence[Entry]) -> Iterable[dict[str, Any]]:
    """The first sample of each verdict."""
    for verdict in SHOWN:
        entry = next((entry for entry in entries if entry.verdict == verdict), None)
        if entry is None:
            continue
        row, room, pieces = entry.row, MOST, list[tuple[str, str]]()
        for kind, text in row.get("pieces", ()):
            pieces.append((kind, text[: max(0, room)] + ("…" if len(text) > room >= 0 else "")))
            room -= len(text)
        yield {
            "verdict": verdict,
            "question": entry.question,
            "sample": entry.sample,
            "asked": row.get("asked", ""),
            "expected": row.get("expected", ""),
            "extracted": row.get("extracted"),
            "error": row.get("error"),
            "pieces": [(kind, text) for kind, text in pieces if text],
            "tokens": completion_tokens(row["usage"]) if "usage" in row else math.nan,
        }
