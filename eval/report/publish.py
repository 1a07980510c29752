"""Write all reports of a journal, and verify that the files of a folder agree with its journal."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from thinkpace.eval import embedded
from thinkpace.eval.report import exports, html, plot, tables, terminal
from thinkpace.eval.report.provenance import provenance
from thinkpace.eval.runs.journal import Entry, Journal
from thinkpace.eval.runs.point import RunPoint
from thinkpace.eval.stats.at_k_table import AtK
from thinkpace.eval.stats.curve_table import Curve
from thinkpace.eval.stats.results import Result
from thinkpace.eval.stats.summary import Summary, summary

JOURNAL = "journal.sqlite"
#: determined by the journal, byte for byte
TABLE_FILES = ("results.csv", "curves.csv", "at_k.csv", "ledger.csv", "samples.jsonl")


def publish(journal: Journal, folder: Path, console: Console, formats: Iterable[str] = ()) -> list[Result]:
    """Write the tables, the plots, the page and the exports of a sweep, and print its results.

    Args:
        journal: of the sweep.
        folder: to write to.
        console: to print to.
        formats: of exports to write beside those that the journal remembers.

    Raises:
        ValueError: if there are no samples, or all of them failed.
    """
    points, entries = journal.points, [*journal.entries()]
    if not entries:
        raise ValueError(f"{folder} holds no samples yet")
    found = summary(points, entries)
    rows = found.results
    _write(points, entries, found, folder)
    tables.write_table(tables.times(points, entries), tables.Times, folder / "times.csv")
    if all(entry.verdict == "error" for entry in entries):
        raise ValueError(
            f"every sample failed, the first with: {entries[0].row['error']} ({folder}/samples.jsonl has all)"
        )
    title = title_of(points, len(journal.questions))
    note = note_of(journal, points, entries)
    plot.draw(rows, folder, title, note)
    html.write(points, entries, found, folder / "report.html", title, note, provenance(journal))
    console.print(terminal.fitting(rows, title, console))
    failed = [entry for entry in entries if entry.verdict == "error"]
    if failed:
        what = f"{len(failed)} samples failed, the first with: {failed[0].row['error']}"
        console.print(f"{what}; thinkpace resume {folder} tries them again", style="bold red", soft_wrap=True)
    for line in note.splitlines():
        console.print(line, style="dim" if line == plot.EMBEDDED_NOTE else "bold red", highlight=False, soft_wrap=True)
    for name in sorted({*_formats(journal), *formats}):
        for path in exports.FORMATS[name](journal, folder):
            console.print(str(path), highlight=False, soft_wrap=True)
    console.print(
        f"{folder}/report.html, curve.png, curve.svg, {', '.join(TABLE_FILES)}", highlight=False, soft_wrap=True
    )
    return rows


def add_exports(journal: Journal, formats: Iterable[str]) -> None:
    """Remember these export formats for every later `publish`.

    Args:
        journal: of the sweep.
        formats: names of `exports.FORMATS`.
    """
    journal.set_meta("exports", json.dumps(sorted({*_formats(journal), *formats})))


def _formats(journal: Journal) -> list[str]:
    names: list[str] = json.loads(journal.get_meta("exports") or "[]")
    return names


def _write(points: list[RunPoint], entries: list[Entry], found: Summary, folder: Path) -> None:
    tables.write_csv(found.results, folder / "results.csv")
    tables.write_table(found.curves, Curve, folder / "curves.csv")
    tables.write_table(found.at_k, AtK, folder / "at_k.csv")
    tables.write_table(tables.ledger(points, entries), tables.Ledger, folder / "ledger.csv")
    tables.write_samples(points, entries, folder / "samples.jsonl")


def title_of(points: list[RunPoint], questions: int) -> str:
    """The title of a sweep: its task, questions, engines and temperature."""
    engines = ", ".join(dict.fromkeys(point.engine for point in points))
    return f"{points[0].task}: {questions} questions, {engines}, temperature {points[0].sampling.temperature:g}"


def _unfinished(journal: Journal, points: Sequence[RunPoint], entries: Iterable[Entry]) -> Iterator[str]:
    """One line if samples are missing: the numbers are of those that are there."""
    progress = journal.progress
    if progress.there < progress.wanted:
        empty = len(points) - len({entry.point for entry in entries})
        without = f", and {empty} of {len(points)} settings have none" if empty else ""
        yield (
            f"unfinished: {progress.there} of {progress.wanted} samples are there{without}; thinkpace resume "
            f"{journal.path.parent} goes on"
        )


def note_of(journal: Journal, points: Sequence[RunPoint], entries: Sequence[Entry]) -> str:
    """What readers need to know beside the numbers, a line each: what is missing, what could not act, a toy model."""
    is_embedded = any(point.engine in embedded.ENGINE_NAMES.values() for point in points)
    lines = [*_unfinished(journal, points, entries), *_not_opened(points, entries)]
    return "\n".join([*lines, *([plot.EMBEDDED_NOTE] if is_embedded else [])])


def _not_opened(points: Sequence[RunPoint], entries: Iterable[Entry]) -> Iterator[str]:
    """One line per engine and prompt whose controls met samples without thinking."""
    asked = {p.id: p for p in points if any(control.asks_something for control in p.setting.controls)}
    opened: dict[tuple[str, str], list[bool]] = {}
    for entry in entries:
        if entry.point in asked and "end" in entry.row:
            point = asked[entry.point]
            opened.setdefault((point.engine, point.prompt), []).append(entry.row["end"] != "none")
    for (engine, prompt), found in opened.items():
        if not all(found):
            where = f" ({engine}, {prompt})" if len(opened) > 1 else ""
            rest = "" if not any(found) else " in the others"
            yield (
                f"thinking was opened in {sum(found)} of {len(found)} samples{where}: budgets and waits had nothing to "
                f"act on{rest}; see 'Models without thinking of their own' in the documentation (--prefill)"
            )


def verify_folder(journal: Journal, folder: Path) -> Iterator[str]:
    """Verify a finished sweep; yields one line per check that passed.

    Raises:
        ValueError: if the journal is damaged, samples are missing or failed, or a table differs from the journal.
    """
    journal.check()
    points, progress = journal.points, journal.progress
    if not progress.wanted:
        raise ValueError(f"{folder} holds no sweep")
    if progress.there < progress.wanted:
        missing = progress.wanted - progress.there
        raise ValueError(f"{missing} of {progress.wanted} samples are missing: thinkpace resume {folder}")
    if progress.failed:
        raise ValueError(f"{progress.failed} samples ended in an error: thinkpace resume {folder} tries them again")
    yield f"{progress.there} samples, all of them there, none failed"
    entries = [*journal.entries()]
    with tempfile.TemporaryDirectory() as scratch:
        _write(points, entries, summary(points, entries), Path(scratch))
        for name in TABLE_FILES:
            path = folder / name
            if not path.is_file() or path.read_bytes() != (Path(scratch) / name).read_bytes():
                raise ValueError(
                    f"{path} is not what this version of thinkpace makes of the journal: "
                    f"thinkpace report {folder} writes it anew"
                )
    yield f"{', '.join(TABLE_FILES)} say what the journal says"
