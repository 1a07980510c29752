"""`thinkpace figure`: a figure of a sweep for a paper or a slide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def figure(
    folder: Annotated[Path, typer.Argument(help="Folder of a sweep.")],
    out: Annotated[Path, typer.Option(help="File to write: .png, .svg or .pdf.")] = Path("curve.pdf"),
    axis: Annotated[
        str,
        typer.Option(
            help="Tokens on the horizontal axis: thinking, output, generated (with probes) or total (read too)."
        ),
    ] = "thinking",
    price_in: Annotated[
        float, typer.Option(help="Price of a million tokens that are read; the axis is then the price of a sample.")
    ] = 0.0,
    price_out: Annotated[float, typer.Option(help="Price of a million tokens that are generated.")] = 0.0,
    log: Annotated[bool, typer.Option("--log", help="Logarithmic axis; settings at 0 are left out.")] = False,
    style: Annotated[
        str, typer.Option(help="Sizes: page, column (of a paper with two) or slide.", show_default=True)
    ] = "page",
    label: Annotated[
        list[str] | None,
        typer.Option(help="Short name of a line of the legend, as 'line=short'. Can be repeated."),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title above the figure.", show_default="the sweep's")] = None,
) -> None:
    """Draw accuracy against tokens or price."""
    from thinkpace.eval.report.axes import AXES, price_axis
    from thinkpace.eval.report.plot import STYLES, Look, image
    from thinkpace.eval.stats.lines import lines
    from thinkpace.eval.sweeps.results import SweepResults

    if axis not in AXES:
        raise ValueError(f"--axis must be one of {', '.join(AXES)}, got {axis!r}")
    if style not in STYLES:
        raise ValueError(f"--style must be one of {', '.join(STYLES)}, got {style!r}")
    form = out.suffix.removeprefix(".")
    if form not in ("png", "svg", "pdf"):
        raise ValueError(f"--out must end in .png, .svg or .pdf, got {str(out)!r}")
    priced = price_in or price_out
    if priced and axis != "thinking":
        raise ValueError("--axis and --price-in or --price-out both choose the axis: give one")
    found = SweepResults(folder)
    names = [line.label for line in lines(found.rows)]
    labels = dict(_named(text, names) for text in label or ())
    look = Look(price_axis(price_in, price_out) if priced else AXES[axis], log, STYLES[style], labels)
    data = image(found.rows, found.title if title is None else title, found.note, look, form)
    out.write_bytes(data)
    typer.echo(str(out))


def _named(text: str, names: list[str]) -> tuple[str, str]:
    """A line and its short name."""
    line, sign, short = text.rpartition("=")
    if not sign or line not in names:
        known = "; ".join(names)
        raise ValueError(f"--label {text!r}: write one of these, = and a short name: {known}")
    return line, short
