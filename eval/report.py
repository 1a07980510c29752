"""What a sweep leaves behind: a table, `results.csv`, `samples.jsonl`, and `curve.png`."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich import box
from rich.table import Table

from thinkpace.eval.journal import Entry
from thinkpace.eval.sweep import Result

EMBEDDED_NOTE = (
    "Embedded test model (0.9 M parameters): shows that the controls work, not what they buy on a large model."
)


def table(results: Sequence[Result], title: str) -> Table:
    """The results for a terminal."""
    caption = "95 % intervals; thinking tokens as the budget counts them"
    out = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    trouble = any(r.truncated or r.no_answer or r.errors for r in results)
    compared = any(not math.isnan(r.difference) for r in results)
    named = not all(_is_forcing(r) for r in results)
    left = ["row"] * named + ["budget"] + ["waits"] * (not named) + ["samples"] * (not compared)
    right = ["accuracy", "95 % interval", "thinking"] + ["max", "forced"] * (not compared)
    for column in left + right + ["against baseline"] * compared + ["cut/none/error"] * trouble:
        out.add_column(column, justify="right", no_wrap=True)
    for number, r in enumerate(results, 1):
        cells = {
            "row": str(number),
            "budget": "none" if r.max_tokens is None else str(r.max_tokens),
            "waits": str(r.waits),
            "samples": str(r.samples),
            "accuracy": _percent(r.accuracy),
            "95 % interval": f"{_percent(r.ci_low)} to {_percent(r.ci_high)}",
            "thinking": f"{r.thinking_tokens_mean:.1f}",
            "max": str(r.thinking_tokens_max),
            "forced": _percent(r.forced_end),
            "against baseline": gained(r),
            "cut/none/error": f"{r.truncated}/{r.no_answer}/{r.errors}",
        }
        out.add_row(*(cells[str(column.header)] for column in out.columns))
    if named:
        out.caption = "\n".join([*(f"{number}: {r.controls}" for number, r in enumerate(results, 1)), caption])
        out.caption_justify = "left"
    return out


def gained(result: Result) -> str:
    """The difference from the baseline in points, with its interval; empty where there is none."""
    if math.isnan(result.difference):
        return ""
    points = [f"{100 * x:+.1f}" for x in (result.difference, result.difference_low, result.difference_high)]
    return f"{points[0]} ({points[1]} to {points[2]})"


def _is_forcing(result: Result) -> bool:
    """Whether a result is of budget forcing and nothing else: its budget and waits say all there is to say."""
    return result.control == "BudgetForcing"


def _percent(share: float) -> str:
    return "undefined" if math.isnan(share) else f"{100 * share:.1f}%"


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` that takes its place when all of it is written: no reader ever sees half a file."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    yield new
    new.replace(path)


def write_csv(results: Sequence[Result], path: Path) -> None:
    """One row per setting; `max_tokens` is empty for no limit, an undefined number is `nan`."""
    with _replacing(path) as new, new.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(Result)])
        for result in results:
            writer.writerow([_cell(value) for value in asdict(result).values()])


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value


def write_samples(entries: Iterable[Entry], path: Path) -> None:
    """One JSON object per sample."""
    with _replacing(path) as new, new.open("w", encoding="utf-8") as file:
        for entry in entries:
            row = {"setting": entry.setting, "id": entry.question, "sample": entry.sample} | entry.row
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def draw_curve(results: Sequence[Result], path: Path, title: str, note: str = "") -> None:
    """Accuracy against thinking tokens: one line along the budgets, one along the waits, with their intervals."""
    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    axes = figure.add_subplot()
    drawn = [r for r in results if not math.isnan(r.accuracy)]
    plain = [r for r in drawn if _is_forcing(r)]
    fewest = min((r.waits for r in plain), default=0)
    lines = {
        "budget, no waits" if fewest == 0 else f"budget, {fewest} waits": [r for r in plain if r.waits == fewest],
        "waits, no budget": [r for r in plain if r.max_tokens is None],
    }
    shown = {id(r) for line in lines.values() for r in line}
    others = [r for r in drawn if id(r) not in shown]
    numbers = {id(r): str(i + 1) for i, r in enumerate(drawn) if not _is_forcing(r)}
    for (label, points), colour, marker in zip(lines.items(), ("#1f5fa8", "#c2571a"), "os", strict=True):
        if len(points) > 1 or (points and label.startswith("budget")):
            _line(axes, sorted(points, key=lambda r: r.thinking_tokens_mean), label, colour, marker, "-")
    crossed = [r for r in others if id(r) not in numbers]
    if crossed:
        _line(axes, crossed, "budget and waits", "#5a5a5a", "^", "")
    for r in others:
        if id(r) in numbers:  # the number is the marker: nothing else is written beside it
            _line(axes, [r], "", "#2e7d4f", f"${numbers[id(r)]}$", "", size=9)
    if numbers:
        axes.plot([], [], color="#2e7d4f", marker="$n$", linestyle="", label="n: row n of the table")
    for r in drawn:
        if id(r) in numbers:
            continue
        limit = "no budget" if r.max_tokens is None else str(r.max_tokens)
        label = limit if r.waits == fewest else f"{r.waits} wait{'s' if r.waits > 1 else ''}"
        if r.waits != fewest and r.max_tokens is not None:
            label = f"{limit}, {label}"
        axes.annotate(
            label, (r.thinking_tokens_mean, 100 * r.accuracy), (6, -12), textcoords="offset points", fontsize=8
        )
    axes.set_xlabel("thinking tokens per sample (mean)")
    axes.set_ylabel("accuracy (%), 95 % interval")
    axes.set_ylim(-3, 104)
    most = max((r.thinking_tokens_mean for r in drawn), default=1.0) or 1.0
    axes.set_xlim(-0.03 * most, 1.12 * most)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False)
    axes.set_title(title, loc="left", fontsize=11)
    if note:
        figure.supxlabel(note, fontsize=7.5, color="#5a5a5a")
    with _replacing(path) as new:
        figure.savefig(new, dpi=150, format="png")


def _line(
    axes: Any, points: Sequence[Result], label: str, colour: str, marker: str, style: str, size: float = 5
) -> None:
    middle = [100 * r.accuracy for r in points]
    low = [max(0.0, 100 * (r.accuracy - r.ci_low)) for r in points]
    high = [max(0.0, 100 * (r.ci_high - r.accuracy)) for r in points]
    axes.errorbar(
        [r.thinking_tokens_mean for r in points],
        middle,
        yerr=[low, high],
        label=label or None,
        color=colour,
        marker=marker,
        linestyle=style,
        capsize=2.5,
        linewidth=1.4,
        markersize=size,
        elinewidth=0.9,
    )
