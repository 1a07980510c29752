"""The plot of a sweep: accuracy against thinking tokens, with intervals and the front."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from thinkpace.eval.report.atomic import replacing
from thinkpace.eval.stats.lines import Line, front, lines
from thinkpace.eval.stats.results import Result

NOTE_WIDTH = 130  # characters of a line below the plot
EMBEDDED_NOTE = (
    "Embedded test model (0.9 M parameters): shows that the controls work, not what they buy on a large model."
)


class Ink(NamedTuple):
    """Colours of the plot."""

    text: str  #: of text and axes
    faint: str  #: of notes, the grid and the front
    lines: tuple[str, ...]  #: of the lines, in turn


LIGHT = Ink("#222222", "#6a6a6a", ("#1f5fa8", "#c2571a", "#2e7d4f", "#8a3f8f", "#7a6a10", "#a02c3c"))


DARK = Ink("#e4e4e4", "#9a9a9a", ("#7fb2ef", "#f0955a", "#74c795", "#cf93d4", "#cfc060", "#ee8795"))


MARKERS = "osD^vP"


STYLES = ("-", "--", "-.")  # for the first six lines, the next six, and so on


def figure(results: Sequence[Result], title: str, note: str = "", ink: Ink = LIGHT) -> Figure:
    """The plot as a matplotlib figure."""
    figure = Figure(figsize=(7.5, 5.0), layout="constrained")
    axes = figure.add_subplot()
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    drawn = lines(results)
    best = front(results)
    if len(best) > 1:
        axes.step(
            [r.thinking_tokens_mean for r in best],
            [100 * r.accuracy for r in best],
            where="post",
            color=ink.faint,
            linewidth=1,
            linestyle=":",
            label="front, beyond noise",
            zorder=1,
        )
    most = max((r.thinking_tokens_mean for line in drawn for r in line.points), default=1.0) or 1.0
    labels = list[tuple[float, float, float]]()  # of the placed labels: left end, right end, height
    for i, line in enumerate(drawn):
        colour, again = ink.lines[i % len(ink.lines)], i // len(ink.lines)
        _line(axes, line, colour, MARKERS[(i + again) % len(MARKERS)], STYLES[again % len(STYLES)])
        for r in line.points:
            x, y = r.thinking_tokens_mean, 100 * r.accuracy
            end = x + 0.014 * most * len(_name(r))
            if not any(x < to and begin < end and abs(y - height) < 2.7 for begin, to, height in labels):
                labels.append((x, end, y))
                axes.annotate(_name(r), (x, y), (6, -12), textcoords="offset points", fontsize=8, color=colour)
    axes.set_xlabel("thinking tokens per sample (mean)")
    axes.set_ylabel("accuracy (%), 95 % interval")
    axes.set_ylim(-3, 104)
    axes.set_xlim(-0.03 * most, 1.14 * most)
    axes.grid(alpha=0.25, color=ink.faint)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, frameon=False, fontsize=8.5)
    axes.set_title(title, loc="left", fontsize=11)
    if note:
        wrapped = [part for line in note.splitlines() for part in textwrap.wrap(line, NOTE_WIDTH)]
        figure.supxlabel("\n".join(wrapped), fontsize=7.5, color=ink.faint)
    return figure


def _name(r: Result) -> str:
    parts = ["no budget" if r.max_tokens is None and not r.waits else "" if r.max_tokens is None else str(r.max_tokens)]
    parts.append(f"{r.waits} wait{'s' if r.waits > 1 else ''}" if r.waits else "")
    return ", ".join(filter(None, parts))


def _line(axes: Any, line: Line, colour: str, marker: str, style: str) -> None:
    points = line.points
    axes.errorbar(
        [r.thinking_tokens_mean for r in points],
        [100 * r.accuracy for r in points],
        yerr=[
            [max(0.0, 100 * (r.accuracy - r.ci_low)) if not math.isnan(r.ci_low) else 0.0 for r in points],
            [max(0.0, 100 * (r.ci_high - r.accuracy)) if not math.isnan(r.ci_high) else 0.0 for r in points],
        ],
        label=line.label,
        color=colour,
        marker=marker,
        linestyle=style,
        capsize=2.5,
        linewidth=1.4,
        markersize=5,
        elinewidth=0.9,
    )


def _saved(results: Sequence[Result], title: str, note: str, ink: Ink, form: str) -> bytes:
    colours: Any = dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), ink.text
    )
    # SVG text stays text, and element ids are the same every time
    with mpl.rc_context(colours | {"svg.fonttype": "none", "svg.hashsalt": "thinkpace"}):
        out = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else None
        drawn = figure(results, title, note, ink)
        drawn.savefig(out, dpi=150, format=form, metadata=metadata, facecolor="white" if form == "png" else "none")
    return out.getvalue()


def svg(results: Sequence[Result], title: str, note: str = "", ink: Ink = LIGHT) -> str:
    """The plot as an SVG element, for the HTML page."""
    text = _saved(results, title, note, ink, "svg").decode()
    return text[text.index("<svg") :]


def draw(results: Sequence[Result], folder: Path, title: str, note: str = "") -> None:
    """Write `curve.png` and `curve.svg`."""
    for form in ("png", "svg"):
        with replacing(folder / f"curve.{form}") as new:
            new.write_bytes(_saved(results, title, note, LIGHT, form))
