"""The journal of a run: stores every finished unit, so that a killed run loses no finished work and repeats none.

One sqlite file in WAL mode. The key of a sample is its point (everything that decides it besides the question), its
question and its index; its seed is stored beside them. A unit of work is written in one transaction: after a kill at
any moment it is stored as a whole or not at all. Processes that share a journal lock their units through the operating
system, which drops the locks of a process that dies.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from thinkpace.eval.runs.point import RunPoint

try:
    import fcntl
except ModuleNotFoundError:  # Windows has no such locks: two processes may do the same unit, and one result is kept
    fcntl = None  # type: ignore[assignment]  # checked before each use

VERSION = 2  #: of the schema and the contents
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

SALVAGE = "; thinkpace salvage takes out what is good"
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
        row: all other data of the sample (a JSON object).
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
    """How many samples of a run are finished."""

    wanted: int  #: samples requested
    there: int  #: requested samples that are stored, failed ones included
    failed: int  #: stored samples that ended in an error


class Journal:
    """The samples of a run, on disk.

    Args:
        path: of the file; created if it is missing.
        must_exist: whether a missing file is an error instead.
        read_only: whether it is only read, so that it may lie in a folder that cannot be written; it must exist.

    Raises:
        ValueError: if the file is no journal, is damaged, or of another version. Reading raises it too, as far as the
            damage goes.
        FileNotFoundError: if the file is missing, and `must_exist` or `read_only` is set.
    """

    def __init__(self, path: Path, *, must_exist: bool = False, read_only: bool = False) -> None:
        if (must_exist or read_only) and not path.is_file():
            raise FileNotFoundError(f"there is no journal {path}: name the folder of a sweep")
        self.path = path
        self._locks: BinaryIO | None = None
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        try:
            if read_only:
                self._db = self._opened()
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=60)
            self._set_up()
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path} cannot be used as a journal: {error}{_advice(error)}") from None
        self._locks = path.with_suffix(".locks").open("a+b") if fcntl else None

    def _opened(self) -> sqlite3.Connection:
        """The file, or a copy of it where sqlite cannot read it in its place: it needs files beside it."""
        try:
            return self._checked(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=60))
        except sqlite3.OperationalError:
            self._copy = tempfile.TemporaryDirectory()
            try:
                return self._checked(sqlite3.connect(copied(self.path, Path(self._copy.name))))
            except sqlite3.DatabaseError:
                self._copy.cleanup()
                raise

    def _checked(self, db: sqlite3.Connection) -> sqlite3.Connection:
        """The connection, if the file is a journal of this version."""
        [version] = db.execute("PRAGMA user_version").fetchone()
        if version == VERSION:
            return db
        if not db.execute("PRAGMA table_info(samples)").fetchone():
            raise sqlite3.DatabaseError("it holds no sweep")
        other = "an older" if version < VERSION else "a newer"
        raise sqlite3.DatabaseError(f"it is of {other} version of thinkpace: use another folder")

    def _set_up(self) -> None:
        """Create the tables in WAL mode.

        Switching to WAL fails at once while another process does so, whatever the timeout: it is retried for 60 s.
        """
        deadline = time.monotonic() + 60
        while True:
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                if not self._db.execute("PRAGMA table_info(samples)").fetchone():  # new
                    self._db.execute(f"PRAGMA user_version = {VERSION}")  # first: another process may read both
                self._checked(self._db).executescript(_SCHEMA)
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
        if self._copy is not None:
            self._copy.cleanup()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction.

        Raises:
            OSError: if it cannot be written, for example because the disk is full; earlier transactions are safe.
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
        """Register the requested samples. Later calls can add to them; earlier requests stay.

        Args:
            run: what all points of the run share, as a JSON object.
            points: of its grid.
            questions: (id, question, answer) each.
            samples: requested of every question at every point.

        Raises:
            ValueError: if the file holds another run, or a different question with the same id.
        """
        text = json.dumps(run, sort_keys=True)
        question_rows, grid = list(questions), list(points)
        with self._writing():
            self._db.execute("INSERT OR IGNORE INTO run VALUES ('common', ?)", (text,))
            stored, wanted = json.loads(self.get_meta("common") or "{}"), json.loads(text)
            if stored != wanted:
                different = sorted(k for k in stored.keys() | wanted.keys() if stored.get(k) != wanted.get(k))
                raise ValueError(
                    f"{self.path.parent} holds another run (different: {', '.join(different)}): "
                    "choose another folder with --out"
                )
            rows = [(point.id, json.dumps(point.to_json(), sort_keys=True)) for point in grid]
            self._db.executemany("INSERT OR IGNORE INTO points (point, spec) VALUES (?, ?)", rows)
            self._db.executemany(
                "INSERT OR IGNORE INTO questions (question, asked, answer) VALUES (?, ?, ?)", question_rows
            )
            stored_questions = {
                row[0]: row[1:] for row in self._db.execute("SELECT question, asked, answer FROM questions")
            }
            for name, *content in question_rows:
                if stored_questions[name] != tuple(content):
                    raise ValueError(
                        f"{self.path.parent} holds another run (different: question {name!r}): "
                        "choose another folder with --out"
                    )
            self._db.executemany(_WANT, [(point.id, name, samples) for point in grid for name, *_ in question_rows])

    def _rows(self, query: str, arguments: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query.

        Raises:
            ValueError: if the file is damaged.
        """
        try:
            yield from self._db.execute(query, tuple(arguments))
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{self.path} is damaged: {error}{_advice(error)}") from None

    def set_meta(self, name: str, value: str) -> None:
        """Store a text under a name, replacing an earlier one."""
        with self._writing():
            self._db.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (name, value))

    def get_meta(self, name: str) -> str | None:
        """The text stored under a name; None if there is none."""
        row = next(self._rows("SELECT value FROM run WHERE name = ?", (name,)), None)
        return row[0] if row else None

    @property
    def points(self) -> list[RunPoint]:
        """The points of the grid, in the order of their registration."""
        return [RunPoint.from_json(json.loads(spec)) for [spec] in self._rows("SELECT spec FROM points ORDER BY place")]

    @property
    def questions(self) -> dict[str, tuple[str, str]]:
        """Question id -> (question, answer), in the order of their registration."""
        rows = self._rows("SELECT question, asked, answer FROM questions ORDER BY place")
        return {question: (asked, answer) for question, asked, answer in rows}

    def done(self, points: Sequence[str], sample: int) -> set[Key]:
        """Keys of the generated samples of some points at one index, without failed generations, which are retried."""
        marks = ", ".join("?" * len(points))
        chosen = f"SELECT point, question, sample FROM samples WHERE point IN ({marks}) AND sample = ?"
        is_generated = "(verdict != 'error' OR json_extract(row, '$.tokens') IS NOT NULL)"
        return {
            (point, question, number)
            for point, question, number in self._rows(f"{chosen} AND {is_generated}", (*points, sample))
        }

    def ungraded(self) -> list[Entry]:
        """Samples that were generated but whose grading failed."""
        return [entry for entry in self.entries() if entry.verdict == "error" and "tokens" in entry.row]

    def of(self, point: str, sample: int) -> list[Entry]:
        """The stored samples of all questions at one point, with one sample index."""
        chosen = "SELECT * FROM samples WHERE point = ? AND sample = ?"
        rows = self._rows(chosen, (point, sample))
        return [
            Entry(of, question, number, seed, verdict, json.loads(row))
            for of, question, number, seed, verdict, row in rows
        ]

    @property
    def progress(self) -> Progress:
        """How many samples are requested, stored and failed."""
        return Progress(*next(self._rows(_COUNT)))

    def write(self, entries: Iterable[Entry]) -> None:
        """Store samples, all or none. A stored sample is replaced only if it was an error.

        Raises:
            OSError: if they cannot be written, for example because the disk is full; earlier samples are safe.
        """
        rows = [
            (e.point, e.question, e.sample, e.seed, e.verdict, json.dumps(e.row, ensure_ascii=False)) for e in entries
        ]
        with self._writing():
            self._db.executemany(_INSERT, rows)

    def entries(self) -> Iterator[Entry]:
        """All samples, in the order of points, questions and sample indices."""
        for point, question, sample, seed, verdict, row in self._rows(_ENTRIES):
            yield Entry(point, question, sample, seed, verdict, json.loads(row))

    def claim(self, unit: int, *, wait: bool = False) -> bool:
        """Lock a unit of work for this process, until `release` or its death.

        Args:
            unit: its number.
            wait: whether to block until no other process holds the unit.

        Returns:
            False if another process holds it.
        """
        if self._locks is None:
            return True
        try:
            fcntl.lockf(self._locks, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, unit)
        except BlockingIOError:
            return False
        return True

    def release(self, unit: int) -> None:
        """Unlock a unit."""
        if self._locks is not None:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, unit)

    def check(self) -> None:
        """Check the file for damage.

        Raises:
            ValueError: if sqlite finds any.
        """
        messages = [row[0] for row in self._rows("PRAGMA integrity_check")]
        if messages != ["ok"]:
            raise ValueError(f"{self.path} is damaged: {messages[0]}{SALVAGE}")


def copied(path: Path, folder: Path) -> Path:
    """A copy of a journal in a folder, with what sqlite has not written into the file itself yet."""
    for end in ("", "-wal"):
        beside = path.with_name(path.name + end)
        if beside.exists():
            shutil.copy(beside, folder)
    return folder / path.name


def _advice(error: sqlite3.DatabaseError) -> str:
    """What to do about an error of sqlite, by its primary code."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return "; a folder that cannot be written can only be read: thinkpace report --out"
    return SALVAGE if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) else ""
