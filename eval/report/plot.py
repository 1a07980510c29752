"""The plot of a sweep: accuracy against tokens, with intervals and the front."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from thinkpace.eval.report.atomic import replacing
from thinkpace.eval.report.axes import AXES, Axis
from thinkpace.eval.stats.lines import Line, front, lines
from thinkpace.eval.stats.names import short_names
from thinkpace.eval.stats.results import Result

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
DASHES = ("-", "--", "-.")  # for the first six lines, the next six, and so on


class Style(NamedTuple):
    """Sizes of the plot, in inches and points."""

    width: float
    height: float  #: of the axes with their labels; the legend comes below
    text: float
    small: float
    marker: float


STYLES: Mapping[str, Style] = {
    "page": Style(7.5, 4.4, 10.0, 8.0, 5.0),
    "column": Style(3.4, 2.6, 7.5, 6.0, 3.2),
    "slide": Style(11.0, 5.6, 16.0, 12.5, 8.0),
}


@dataclass(frozen=True)
class Look:
    """How a plot is drawn.

    Args:
        axis: what the horizontal axis shows.
        log: whether it is logarithmic; settings at 0 are then left out.
        style: sizes.
        labels: name of a line -> a short one of one's own.
        ink: colours.
    """

    axis: Axis = AXES["thinking"]
    log: bool = False
    style: Style = STYLES["page"]
    labels: Mapping[str, str] = field(default_factory=dict)
    ink: Ink = LIGHT


def figure(results: Sequence[Result], title: str, note: str = "", look: Look | None = None) -> Figure:
    """The plot as a matplotlib figure.

    Lines whose points are all those of an earlier line say so in the legend. A point that several lines share has one
    label. A label lies on no marker and on no other label; where there is no room it is left out.

    Raises:
        ValueError: if no setting can be drawn.
    """
    look = look or Look()
    ink, style = look.ink, look.style
    drawn = [line._replace(points=[r for r in line.points if _can_draw(r, look)]) for line in lines(results)]
    drawn = [line for line in drawn if line.points]
    if not drawn:
        raise ValueError("nothing can be drawn: no setting has an accuracy, or on a logarithmic axis none is above 0")
    names = _labels(drawn, look)
    characters = int(0.86 * style.width * 72 / (0.5 * style.small))  # of a line of the legend
    entries = [textwrap.fill(name, characters, subsequent_indent="  ") for name in names]
    columns = 2 if max(map(len, names)) <= characters / 2 - 6 else 1
    below = [part for line in note.splitlines() for part in textwrap.wrap(line, characters)]
    rows = sum(entry.count("\n") + 1 for entry in entries) / columns + 2 + len(below)
    made = Figure(figsize=(style.width, style.height + rows * style.small * 1.6 / 72), layout="constrained")
    axes = made.add_subplot()
    made.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    if look.log:
        axes.set_xscale("log")
    best = [r for r in front(results) if _can_draw(r, look)]
    if len(best) > 1:
        at = [(look.axis.of(r), 100 * r.accuracy) for r in sorted(best, key=look.axis.of)]
        xs, ys = zip(*at, strict=True)
        axes.step(xs, ys, where="post", color=ink.faint, lw=1, ls=":", label="front, beyond noise", zorder=1)
    for i, (line, entry) in enumerate(zip(drawn, entries, strict=True)):
        _line(axes, line, i, entry, look)
    axes.set_xlabel(look.axis.label, fontsize=style.text)
    axes.set_ylabel("accuracy (%), 95 % interval", fontsize=style.text)
    axes.tick_params(labelsize=style.small)
    axes.set_ylim(-3, 104)
    axes.margins(x=0.08)
    axes.grid(alpha=0.25, color=ink.faint)
    axes.spines[["top", "right"]].set_visible(False)
    key = made.legend(
        loc="outside lower center", ncols=columns, frameon=False, fontsize=style.small, title="\n".join(below) or None
    )
    key.get_title().set(fontsize=0.9 * style.small, color=ink.faint, multialignment="center")
    axes.set_title("\n".join(textwrap.wrap(title, int(0.8 * characters))), loc="left", fontsize=style.text)
    _label_points(made, axes, drawn, look)
    return made


def _can_draw(r: Result, look: Look) -> bool:
    place = look.axis.of(r)
    return not math.isnan(r.accuracy) and math.isfinite(place) and (place > 0 or not look.log)


def _labels(drawn: Sequence[Line], look: Look) -> list[str]:
    """The names of the lines, with what is hidden behind another line."""
    short = short_names([line.label for line in drawn], look.labels)
    places = [[_place(r, look) for r in line.points] for line in drawn]
    out = list[str]()
    for i, line in enumerate(drawn):
        same = next((j for j in range(i) if places[i] == places[j]), None)
        out.append(short[line.label] + ("" if same is None else f" (same points as {short[drawn[same].label]})"))
    return out


def _place(r: Result, look: Look) -> tuple[float, float]:
    return round(look.axis.of(r), 3), round(100 * r.accuracy, 2)


def _line(axes: Any, line: Line, number: int, label: str, look: Look) -> None:
    points, again = line.points, number // len(look.ink.lines)
    axes.errorbar(
        [look.axis.of(r) for r in points],
        [100 * r.accuracy for r in points],
        yerr=[
            [max(0.0, 100 * (r.accuracy - r.ci_low)) if not math.isnan(r.ci_low) else 0.0 for r in points],
            [max(0.0, 100 * (r.ci_high - r.accuracy)) if not math.isnan(r.ci_high) else 0.0 for r in points],
        ],
        label=label,
        color=look.ink.lines[number % len(look.ink.lines)],
        marker=MARKERS[(number + again) % len(MARKERS)],
        linestyle=DASHES[again % len(DASHES)],
        capsize=look.style.marker / 2,
        linewidth=look.style.marker / 3.6,
        markersize=look.style.marker,
        elinewidth=look.style.marker / 5.5,
        alpha=0.9,
    )


def _label_points(made: Figure, axes: Any, drawn: Sequence[Line], look: Look) -> None:
    """Write what a point is beside it, where there is room."""
    made.draw_without_rendering()  # settles the layout, so that places are known
    scale, size = made.dpi / 72, look.style.marker
    points = {_place(r, look): r for line in drawn for r in line.points}
    at = {place: axes.transData.transform((look.axis.of(r), 100 * r.accuracy)) for place, r in points.items()}
    taken = [Bbox.from_bounds(x - size, y - size, 2 * size, 2 * size) for x, y in (xy for xy in at.values())]
    frame = axes.get_window_extent()
    for number, line in enumerate(drawn):
        colour = look.ink.lines[number % len(look.ink.lines)]
        for r in line.points:
            place = _place(r, look)
            if place not in at:
                continue
            x, y = at.pop(place)  # a point that lines share has one label
            text = _name(r)
            width, height = 0.56 * look.style.small * scale * len(text), 1.25 * look.style.small * scale
            gap = 1.1 * size * scale
            under, left = -height - gap / 2, -width - gap
            for dx, dy in ((gap, under), (gap, gap / 2), (left, gap / 2), (left, under)):
                box = Bbox.from_bounds(x + dx, y + dy, width, height)
                inside = frame.x0 <= box.x0 and box.x1 <= made.bbox.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
                if inside and not any(box.overlaps(other) for other in taken):
                    axes.annotate(
                        text, (look.axis.of(r), 100 * r.accuracy), (dx / scale, dy / scale), textcoords="offset points",
                        fontsize=look.style.small, color=colour, va="bottom", ha="left", annotation_clip=False,
                    )  # fmt: skip
                    taken.append(box)
                    break


def _name(r: Result) -> str:
    parts = ["no budget" if r.max_tokens is None and not r.waits else "" if r.max_tokens is None else str(r.max_tokens)]
    parts.append(f"{r.waits} wait{'s' if r.waits > 1 else ''}" if r.waits else "")
    return ", ".join(filter(None, parts))


def image(results: Sequence[Result], title: str, note: str, look: Look, form: str) -> bytes:
    """The plot as a file.

    Args:
        results, title, note, look: as for `figure`.
        form: "png", "svg" or "pdf".
    """
    colours: Any = dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), look.ink.text
    )
    # text stays text, and element ids are the same every time
    with mpl.rc_context(colours | {"svg.fonttype": "none", "svg.hashsalt": "thinkpace", "pdf.fonttype": 42}):
        out = io.BytesIO()
        metadata: Any = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form)
        drawn = figure(results, title, note, look)
        drawn.savefig(out, dpi=150, format=form, metadata=metadata, facecolor="white" if form == "png" else "none")
    return out.getvalue()


def svg(results: Sequence[Result], title: str, note: str = "", ink: Ink = LIGHT) -> str:
    """The plot as an SVG element, for the HTML page."""
    text = image(results, title, note, Look(ink=ink), "svg").decode()
    return text[text.index("<svg") :]


def draw(results: Sequence[Result], folder: Path, title: str, note: str = "") -> None:
    """Write `curve.png` and `curve.svg`."""
    for form in ("png", "svg"):
        with replacing(folder / f"curve.{form}") as new:
            new.write_bytes(image(results, title, note, Look(), form))
