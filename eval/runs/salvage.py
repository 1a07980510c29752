"""Take the good samples out of a damaged journal."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from thinkpace.eval.runs.journal import VERSION, Entry, Journal, copied
from thinkpace.eval.runs.point import RunPoint


class Salvaged(NamedTuple):
    """What was taken out."""

    samples: int  #: that could be read
    wanted: int  #: that the sweep was asked for, as far as that could be read
    settings: int
    questions: int


def salvage(source: Path, target: Path) -> Salvaged:
    """Copy what can be read of a journal into a new one.

    Samples are kept if their setting and question can be read too. What is missing can be generated again.

    Args:
        source: the damaged file; it is only read.
        target: the new file.

    Raises:
        FileNotFoundError: if there is no source.
        FileExistsError: if there is a target.
        ValueError: if nothing can be read.
    """
    if not source.is_file():
        raise FileNotFoundError(f"there is no journal {source}: name the folder of a sweep")
    if target.exists():
        raise FileExistsError(f"{target} exists: choose another folder with --out")
    with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(copied(source, Path(folder)))) as db:
        return _taken_out(db, source, target)


def _taken_out(db: sqlite3.Connection, source: Path, target: Path) -> Salvaged:
    version = next(_rows(db, "PRAGMA user_version"), (VERSION,))[0]
    if version != VERSION:
        raise ValueError(f"{source} is of another version of thinkpace: use the version that wrote it")
    run = dict(_scanned(db, "run", "name", "name, value"))
    points = {name: spec for _, name, spec in sorted(_scanned(db, "points", "place", "place, point, spec"))}
    texts = sorted(_scanned(db, "questions", "place", "place, question, asked, answer"))
    asked = {name: (question, answer) for _, name, question, answer in texts}
    wanted = {(p, q): n for p, q, n in _scanned(db, "wanted", "point, question", "point, question, samples")}
    if not points or not asked or "common" not in run:
        raise ValueError(f"{source}: nothing can be read of it that would say what its samples are")
    most = max(wanted.values(), default=1)
    entries = {entry.key: entry for entry in _samples(db, points, asked, wanted, most)}
    if not entries:
        raise ValueError(f"{source}: no sample can be read of it")
    with Journal(target) as new:
        grid = [RunPoint.from_json(json.loads(spec)) for spec in points.values()]
        new.begin(json.loads(run["common"]), grid, [(name, *both) for name, both in asked.items()], most)
        for name, value in run.items():
            if name != "common":
                new.set_meta(name, value)
        new.write(entries.values())
        return Salvaged(len(entries), new.progress.wanted, len(points), len(asked))


def _samples(
    db: sqlite3.Connection, points: dict[str, str], asked: dict[str, Any], wanted: dict[tuple[str, str], int], most: int
) -> Iterator[Entry]:
    """The samples that can be read, some twice: in order from both ends, and one by one."""
    columns = "point, question, sample, seed, verdict, row"
    found = {row[:3]: row for row in _scanned(db, "samples", "point, question, sample", columns)}
    for point in points:
        for question in asked:
            for sample in range(wanted.get((point, question), most)):
                key = (point, question, sample)
                if key not in found:
                    query = f"SELECT {columns} FROM samples WHERE point = ? AND question = ? AND sample = ?"
                    found.update((row[:3], row) for row in _rows(db, query, key))
    for point, question, sample, seed, verdict, row in found.values():
        if point in points and question in asked:
            with suppress(ValueError, TypeError):  # a text that was cut
                yield Entry(point, question, sample, seed, verdict, dict(json.loads(row)))


def _scanned(db: sqlite3.Connection, table: str, key: str, columns: str) -> set[tuple[Any, ...]]:
    """The rows of a table up to the damage, from both ends."""
    backwards = ", ".join(f"{name} DESC" for name in key.split(", "))
    return {row for order in (key, backwards) for row in _rows(db, f"SELECT {columns} FROM {table} ORDER BY {order}")}


def _rows(db: sqlite3.Connection, query: str, arguments: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The rows of a query, up to the first that cannot be read."""
    with suppress(sqlite3.DatabaseError, UnicodeDecodeError):
        yield from db.execute(query, arguments)
