"""Commands on the folder of a sweep: resume, report, compare, ls and validate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(help="Folder of a sweep.")]


def resume(
    folder: Folder,
    samples: Annotated[
        int | None,
        typer.Option(
            help="Samples per question and setting; a larger number than before adds samples.",
            show_default="as before",
        ),
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(
            help="Where to generate: here (this process), processes (of this machine) or ray (a cluster).",
            show_default="as before",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Number of engines for --executor processes or ray.", show_default="as before"),
    ] = None,
    parallel: Annotated[
        int | None, typer.Option(help="Sequences generated at the same time.", show_default="as before")
    ] = None,
) -> None:
    """Continue a sweep: generate missing samples and retry failed ones. Finished samples are kept."""
    import json

    from rich.console import Console

    from thinkpace.eval.report.publish import JOURNAL
    from thinkpace.eval.runs.journal import Journal
    from thinkpace.eval.sweeps.config import merged
    from thinkpace.eval.sweeps.perform import Stopped, perform

    with Journal(folder / JOURNAL, must_exist=True) as journal:
        stored = json.loads(journal.get_meta("sweeps") or "[]")
    if not stored:
        raise ValueError(f"{folder} was not made by 'thinkpace sweep': nothing tells how to go on")
    flags = {"samples": samples, "executor": executor, "workers": workers, "parallel": parallel}
    console = Console()
    try:
        for text in stored:  # a folder that was extended holds several
            perform(merged(None, flags, text), folder, console)
    except Stopped as stopped:
        console.print(str(stopped))
        raise typer.Exit(130) from None


def report(
    folder: Folder,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="Also write jsonl, parquet, lm-eval or every-eval-ever. Can be repeated."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write to, for a sweep that is only to be read.", show_default="the sweep's"),
    ] = None,
) -> None:
    """Write the tables, plots and report.html of a sweep again, and exports for other tools.

    A format requested once is also written by every later report.
    """
    from rich.console import Console

    from thinkpace.eval.report import exports, publish
    from thinkpace.eval.runs.journal import Journal

    for name in formats or ():
        if name not in exports.FORMATS:
            raise ValueError(f"--format must be one of {', '.join(exports.FORMATS)}, got {name!r}")
    if out is None:
        with Journal(folder / publish.JOURNAL, must_exist=True) as journal:
            publish.add_exports(journal, formats or ())
    else:
        out.mkdir(parents=True, exist_ok=True)
    with Journal(folder / publish.JOURNAL, read_only=True) as journal:
        publish.publish(journal, out or folder, Console(), formats or ())


def salvage(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="New folder for what is good.")],
) -> None:
    """Take the good samples out of a damaged sweep, into a new folder. The damaged one is left as it is."""
    from rich.console import Console

    from thinkpace.eval.report.publish import JOURNAL
    from thinkpace.eval.runs.salvage import salvage as salvaged

    found = salvaged(folder / JOURNAL, out / JOURNAL)
    Console().print(
        f"{found.samples} of {found.wanted} samples could be read, of {found.settings} settings and {found.questions} "
        f"questions: thinkpace report {out}; thinkpace resume {out} generates the others again",
        highlight=False,
        soft_wrap=True,
    )


def compare(
    folders: Annotated[
        list[Path], typer.Argument(help="Folder of a sweep, or several of sweeps on the same questions.")
    ],
    against: Annotated[str, typer.Option(help="Number of the row that all others are compared with.")] = "1",
    out: Annotated[Path | None, typer.Option(help="CSV file to write the table to.")] = None,
) -> None:
    """Compare settings on the same questions: paired differences with intervals, tests that agree with them, Holm."""
    from rich.console import Console

    from thinkpace.eval.report import compare as comparison
    from thinkpace.eval.report import tables

    rows = comparison.compare(folders, comparison.row_of(against))
    if out is not None:
        tables.write_table(rows, comparison.Comparison, out)
    Console().print(comparison.comparison_table(rows))


def ls(
    folder: Annotated[Path, typer.Argument(help="Folder to search for sweeps.")] = Path("runs"),
) -> None:
    """List the sweeps under a folder and the progress of each."""
    from rich.console import Console
    from rich.table import Table

    from thinkpace.eval.report.publish import JOURNAL
    from thinkpace.eval.runs.journal import Journal

    folders = sorted(path.parent for path in folder.rglob(JOURNAL)) if folder.is_dir() else []
    if not folders:
        raise ValueError(f"there are no sweeps in {folder}")
    table = Table(box=None, pad_edge=False)
    for column in ("folder", "task", "engines", "settings", "questions", "samples", "errors"):
        table.add_column(
            column, justify="right" if column in ("settings", "questions", "samples", "errors") else "left"
        )
    for path in folders:
        try:
            with Journal(path / JOURNAL, read_only=True) as journal:
                points, progress = journal.points, journal.progress
                names = ", ".join(dict.fromkeys(point.engine for point in points))
                cells = (len(points), len(journal.questions), f"{progress.there}/{progress.wanted}", progress.failed)
                table.add_row(str(path), points[0].task if points else "", names, *map(str, cells))
        except (ValueError, OSError) as error:
            table.add_row(str(path), str(error))
    Console().print(table)


def validate(
    what: Annotated[Path, typer.Argument(help="TOML file or folder of a sweep.")],
) -> None:
    """Check a sweep for mistakes: its TOML file before it runs, without loading weights; its folder after it ran.

    Exit code 0 if there are none.
    """
    from rich.console import Console

    from thinkpace.eval.report.publish import JOURNAL, verify_folder
    from thinkpace.eval.runs.journal import Journal
    from thinkpace.eval.sweeps.config import merged
    from thinkpace.eval.sweeps.prepare import check

    console = Console()
    if what.is_dir():
        with Journal(what / JOURNAL, read_only=True) as journal:
            for line in verify_folder(journal, what):
                console.print(line, highlight=False, soft_wrap=True)
        return
    console.print(check(merged(what, {})), highlight=False)
