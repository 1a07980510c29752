"""The journal of a run: every sample as it comes, so that a killed run loses nothing and does nothing twice.

One sqlite file in WAL mode. A sample is known by its point (all that decides it beside the question), its question and
its index; what it was seeded with stands beside it. A unit of work is written in one transaction: after a kill at any
moment it is there as a whole or not at all. Processes that share a journal lock the units they work on with the
operating system, which forgets the locks of a process that dies.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from thinkpace.eval.runs.point import RunPoint

try:
    import fcntl
except ModuleNotFoundError:  # no such locks on Windows: two processes may do the same unit, and one of them keeps it
    fcntl = None  # type: ignore[assignment]  # asked for where it is used

VERSION = 2  #: of what a journal holds, and how
_SCHEMA = """
CREATE TABLE IF NOT EXISTS run (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS points (place INTEGER PRIMARY KEY, point TEXT NOT NULL UNIQUE, spec TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS questions (
    place INTEGER PRIMARY KEY, question TEXT NOT NULL UNIQUE, asked TEXT NOT NULL, answer TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS wanted (
    point TEXT NOT NULL, question TEXT NOT NULL, samples INTEGER NOT NULL, PRIMARY KEY (point, question)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS samples (
    point TEXT NOT NULL, question TEXT NOT NULL, sample INTEGER NOT NULL, seed INTEGER NOT NULL,
    verdict TEXT NOT NULL, row TEXT NOT NULL, PRIMARY KEY (point, question, sample)
) WITHOUT ROWID;
"""

_INSERT = """
INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET verdict = excluded.verdict, row = excluded.row
WHERE samples.verdict = 'error'
"""

_WANT = """
INSERT INTO wanted VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET samples = max(samples, excluded.samples)
"""

_COUNT = """
SELECT (SELECT coalesce(sum(samples), 0) FROM wanted),
    (SELECT count(*) FROM samples JOIN wanted USING (point, question) WHERE sample < samples),
    (SELECT count(*) FROM samples WHERE verdict = 'error')
"""

_ENTRIES = """
SELECT samples.point, samples.question, sample, seed, verdict, row FROM samples
JOIN points ON points.point = samples.point JOIN questions ON questions.question = samples.question
ORDER BY points.place, questions.place, sample
"""

Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One sample.

    Args:
        point: the id of its `RunPoint`.
        question: the id of its question.
        sample: its index, from 0.
        seed: of its random numbers.
        verdict: "right", "wrong", "truncated", "no_answer" or "error".
        row: everything else that is known of it (a JSON object).
    """

    point: str
    question: str
    sample: int
    seed: int
    verdict: str
    row: dict[str, Any]

    @property
    def key(self) -> Key:
        return self.point, self.question, self.sample


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come. Args: wanted: samples asked for. there: of these. failed: that ended in an error."""

    wanted: int
    there: int
    failed: int


class Journal:
    """The samples of a run, on disk.

    Args:
        path: of the file; made if it is not there.
        must_exist: whether that is an error instead.

    Raises:
        ValueError: if the file is no journal.
        FileNotFoundError: if there is none and there must be.
    """

    def __init__(self, path: Path, *, must_exist: bool = False) -> None:
        if must_exist and not path.is_file():
            raise FileNotFoundError(f"there is no journal {path}: name the folder of a sweep")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        try:
            self._db = sqlite3.connect(path, timeout=60)
            self._set_up()
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path} cannot be used as a journal: {error}") from None
        self._locks = path.with_suffix(".locks").open("a+b") if fcntl else None

    def _set_up(self) -> None:
        """Changing to WAL fails at once while another process does so, whatever the timeout: it is repeated."""
        deadline = time.monotonic() + 60
        while True:
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                [version] = self._db.execute("PRAGMA user_version").fetchone()
                if version != VERSION and self._db.execute("PRAGMA table_info(samples)").fetchone():
                    other = "an older" if version < VERSION else "a newer"
                    raise sqlite3.DatabaseError(f"it is of {other} version of thinkpace: use another folder")
                if version != VERSION:  # before there are tables: another process may look at both
                    self._db.execute(f"PRAGMA user_version = {VERSION}")
                self._db.executescript(_SCHEMA)
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._locks is not None:
            self._locks.close()
        self._db.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction.

        Raises:
            OSError: if it cannot be written, say because the disk is full; what was written before is safe.
        """
        try:
            with self._db:
                yield
        except sqlite3.OperationalError as error:
            raise OSError(
                f"the journal cannot be written ({error}); run the same command again to go on from here"
            ) from error

    def begin(
        self,
        run: Mapping[str, Any],
        points: Iterable[RunPoint],
        questions: Iterable[tuple[str, str, str]],
        samples: int = 1,
    ) -> None:
        """Say what is going to be done; more may be added later, and what was asked for stays so.

        Args:
            run: what the whole run has in common, as a JSON object.
            points: of its grid.
            questions: (id, question, answer) each.
            samples: of every question at every point.

        Raises:
            ValueError: if the file holds another run, or a question of this id that asks something else.
        """
        text = json.dumps(run, sort_keys=True)
        asked, grid = list(questions), list(points)
        with self._writing():
            self._db.execute("INSERT OR IGNORE INTO run VALUES ('common', ?)", (text,))
            known, wanted = json.loads(self.get_meta("common") or "{}"), json.loads(text)
            if known != wanted:
                different = sorted(k for k in known.keys() | wanted.keys() if known.get(k) != wanted.get(k))
                raise ValueError(
                    f"{self.path.parent} holds another run (different: {', '.join(different)}): "
                    "choose another folder with --out"
                )
            rows = [(point.id, json.dumps(point.to_json(), sort_keys=True)) for point in grid]
            self._db.executemany("INSERT OR IGNORE INTO points (point, spec) VALUES (?, ?)", rows)
            self._db.executemany("INSERT OR IGNORE INTO questions (question, asked, answer) VALUES (?, ?, ?)", asked)
            there = {row[0]: row[1:] for row in self._db.execute("SELECT question, asked, answer FROM questions")}
            for name, *said in asked:
                if there[name] != tuple(said):
                    raise ValueError(
                        f"{self.path.parent} holds another run (different: question {name!r}): "
                        "choose another folder with --out"
                    )
            self._db.executemany(_WANT, [(point.id, name, samples) for point in grid for name, *_ in asked])

    def set_meta(self, name: str, value: str) -> None:
        """Keep a text under a name, in place of what was there."""
        with self._writing():
            self._db.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (name, value))

    def get_meta(self, name: str) -> str | None:
        """The text kept under a name."""
        found = self._db.execute("SELECT value FROM run WHERE name = ?", (name,)).fetchone()
        return found[0] if found else None

    @property
    def points(self) -> list[RunPoint]:
        """The grid, in the order it was given."""
        return [
            RunPoint.from_json(json.loads(row[0])) for row in self._db.execute("SELECT spec FROM points ORDER BY place")
        ]

    @property
    def questions(self) -> dict[str, tuple[str, str]]:
        """Question id -> (question, answer), in the order they were given."""
        return {
            row[0]: row[1:] for row in self._db.execute("SELECT question, asked, answer FROM questions ORDER BY place")
        }

    def done(self, points: Sequence[str], sample: int) -> set[Key]:
        """What has been generated of some points; what could not be is not, so that it is tried again."""
        marks = ", ".join("?" * len(points))
        chosen = f"SELECT point, question, sample FROM samples WHERE point IN ({marks}) AND sample = ?"
        made = "(verdict != 'error' OR json_extract(row, '$.tokens') IS NOT NULL)"
        return set(self._db.execute(f"{chosen} AND {made}", (*points, sample)))

    def ungraded(self) -> list[Entry]:
        """Samples that were generated, and whose grader failed."""
        return [entry for entry in self.entries() if entry.verdict == "error" and "tokens" in entry.row]

    def of(self, point: str, sample: int) -> list[Entry]:
        """One sample of every question at one point."""
        chosen = "SELECT * FROM samples WHERE point = ? AND sample = ?"
        rows = self._db.execute(chosen, (point, sample))
        return [
            Entry(of, question, number, seed, verdict, json.loads(row))
            for of, question, number, seed, verdict, row in rows
        ]

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        return Progress(*self._db.execute(_COUNT).fetchone())

    def write(self, entries: Iterable[Entry]) -> None:
        """Add samples, all or none; one that is there already stays as it was, unless it was an error.

        Raises:
            OSError: if they cannot be written, say because the disk is full; what was written before is safe.
        """
        rows = [
            (e.point, e.question, e.sample, e.seed, e.verdict, json.dumps(e.row, ensure_ascii=False)) for e in entries
        ]
        with self._writing():
            self._db.executemany(_INSERT, rows)

    def entries(self) -> Iterator[Entry]:
        """Everything, in the order of points, questions and samples."""
        for point, question, sample, seed, verdict, row in self._db.execute(_ENTRIES):
            yield Entry(point, question, sample, seed, verdict, json.loads(row))

    def claim(self, unit: int, *, wait: bool = False) -> bool:
        """Take a unit of work for this process, until `release` or its death; False if another one has it.

        Args:
            unit: its number.
            wait: until the other one is done with it.
        """
        if self._locks is None:
            return True
        try:
            fcntl.lockf(self._locks, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, unit)
        except BlockingIOError:
            return False
        return True

    def release(self, unit: int) -> None:
        """Give a unit back."""
        if self._locks is not None:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, unit)

    def check(self) -> None:
        """Look for damage.

        Raises:
            ValueError: if sqlite finds any.
        """
        found = [row[0] for row in self._db.execute("PRAGMA integrity_check")]
        if found != ["ok"]:
            raise ValueError(f"{self.path} is damaged: {found[0]}")
