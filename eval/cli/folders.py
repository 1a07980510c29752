"""The commands about the folder of a sweep: go on, report, compare, list, validate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(help="Folder of a sweep.")]


def resume(
    folder: Folder,
    samples: Annotated[
        int | None,
        typer.Option(help="Samples per question and setting; more than before adds some.", show_default="as before"),
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(help="Where to generate: here, processes or ray.", show_default="as before"),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Engines of --executor processes and --executor ray.", show_default="as before"),
    ] = None,
    parallel: Annotated[
        int | None, typer.Option(help="Sequences generated at the same time.", show_default="as before")
    ] = None,
) -> None:
    """Go on with a sweep: generate what is missing, and try again what ended in an error. Nothing is done twice."""
    import json

    from rich.console import Console

    from thinkpace.eval.report.publish import JOURNAL
    from thinkpace.eval.runs.journal import Journal
    from thinkpace.eval.sweeps.config import merged
    from thinkpace.eval.sweeps.perform import Stopped, perform

    with Journal(folder / JOURNAL, must_exist=True) as journal:
        kept = json.loads(journal.get_meta("sweeps") or "[]")
    if not kept:
        raise ValueError(f"{folder} was not made by 'thinkpace sweep': nothing tells how to go on")
    flags = {"samples": samples, "executor": executor, "workers": workers, "parallel": parallel}
    console = Console()
    try:
        for one in kept:  # a folder that was extended holds several
            perform(merged(None, flags, one), folder, console)
    except Stopped as stopped:
        console.print(str(stopped))
        raise typer.Exit(130) from None


def report(
    folder: Folder,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="Also write jsonl, parquet, lm-eval or every-eval-ever. Can be repeated."),
    ] = None,
) -> None:
    """Write the tables, pictures and report.html of a sweep again, and exports for other tools.

    A format that was asked for once is written whenever these are.
    """
    from rich.console import Console

    from thinkpace.eval.report import exports, publish
    from thinkpace.eval.runs.journal import Journal

    for name in formats or ():
        if name not in exports.FORMATS:
            raise ValueError(f"--format must be one of {', '.join(exports.FORMATS)}, got {name!r}")
    console = Console()
    with Journal(folder / publish.JOURNAL, must_exist=True) as journal:
        publish.add_exports(journal, formats or ())
        publish.publish(journal, folder, console)


def compare(
    folders: Annotated[
        list[Path], typer.Argument(help="Folder of a sweep, or several of sweeps on the same questions.")
    ],
    against: Annotated[str, typer.Option(help="Row that all others are compared with, by its number.")] = "1",
    out: Annotated[Path | None, typer.Option(help="CSV file for the same numbers.")] = None,
) -> None:
    """Compare settings on the same questions: paired differences, bootstrap intervals, McNemar's test, Holm."""
    from rich.console import Console

    from thinkpace.eval.report import compare as comparison
    from thinkpace.eval.report import tables

    rows = comparison.compare(folders, comparison.row_of(against))
    if out is not None:
        tables.write_table(rows, comparison.Comparison, out)
    Console().print(comparison.table(rows))


def ls(
    folder: Annotated[Path, typer.Argument(help="Folder in which sweeps are looked for.")] = Path("runs"),
) -> None:
    """List the sweeps under a folder, and how far each has come."""
    from rich.console import Console
    from rich.table import Table

    from thinkpace.eval.report.publish import JOURNAL
    from thinkpace.eval.runs.journal import Journal

    found = sorted(path.parent for path in folder.rglob(JOURNAL)) if folder.is_dir() else []
    if not found:
        raise ValueError(f"there are no sweeps in {folder}")
    table = Table(box=None, pad_edge=False)
    for column in ("folder", "task", "engines", "settings", "questions", "samples", "errors"):
        table.add_column(
            column, justify="right" if column in ("settings", "questions", "samples", "errors") else "left"
        )
    for path in found:
        try:
            with Journal(path / JOURNAL, must_exist=True) as journal:
                points, come = journal.points, journal.progress
                names = ", ".join(dict.fromkeys(point.engine for point in points))
                cells = (len(points), len(journal.questions), f"{come.there}/{come.wanted}", come.failed)
                table.add_row(str(path), points[0].task if points else "", names, *map(str, cells))
        except ValueError as error:
            table.add_row(str(path), str(error))
    Console().print(table)


def validate(
    what: Annotated[Path, typer.Argument(help="TOML file or folder of a sweep.")],
) -> None:
    """Look for mistakes: in a file before it is run, without loading weights; in a folder after it was.

    Exit code 0 if there are none.
    """
    from rich.console import Console

    from thinkpace.eval.report.publish import JOURNAL, verify_folder
    from thinkpace.eval.runs.journal import Journal
    from thinkpace.eval.sweeps.config import merged
    from thinkpace.eval.sweeps.prepare import check

    console = Console()
    if what.is_dir():
        with Journal(what / JOURNAL, must_exist=True) as journal:
            for line in verify_folder(journal, what):
                console.print(line, highlight=False, soft_wrap=True)
        return
    console.print(check(merged(what, {})), highlight=False)
