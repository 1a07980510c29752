"""The journal of a run: every sample as it comes, so that a killed run loses nothing and does nothing twice.

One sqlite file in WAL mode. A chunk of samples is written in one transaction: after a kill at any moment it is there
as a whole or not at all, and the chunks of the resumed run are those of an uninterrupted one.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_SCHEMA = """
CREATE TABLE IF NOT EXISTS run (one INTEGER PRIMARY KEY CHECK (one = 1), plan TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS samples (
    setting TEXT NOT NULL, question TEXT NOT NULL, sample INTEGER NOT NULL, row TEXT NOT NULL,
    PRIMARY KEY (setting, question, sample)
) WITHOUT ROWID;
"""

_INSERT = """
INSERT INTO samples VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET row = excluded.row
WHERE json_extract(samples.row, '$.verdict') = 'error'
"""

Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One sample: which setting, question and repetition, and everything that is known of it (a JSON object)."""

    setting: str
    question: str
    sample: int
    row: dict[str, Any]

    @property
    def key(self) -> Key:
        return self.setting, self.question, self.sample


class Journal:
    """The samples of one run, on disk.

    Args:
        path: of the file; made if it is not there.
        plan: what the run is; a file made for another plan is refused, so that two runs never mix.

    Raises:
        ValueError: if the file belongs to another plan.
    """

    def __init__(self, path: Path, plan: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, timeout=60)
            self._set_up()
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path} cannot be used as a journal: {error}") from None
        text = json.dumps(plan, sort_keys=True)
        with self._db:
            self._db.execute("INSERT OR IGNORE INTO run VALUES (1, ?)", (text,))
        known = json.loads(self._db.execute("SELECT plan FROM run").fetchone()[0])
        if known != json.loads(text):
            different = sorted(k for k in known.keys() | plan.keys() if known.get(k) != json.loads(text).get(k))
            self._db.close()
            raise ValueError(
                f"{path.parent} holds another run (different: {', '.join(different)}): choose another folder with --out"
            )

    def _set_up(self) -> None:
        """Changing to WAL fails at once while another process does so, whatever the timeout: it is repeated."""
        deadline = time.monotonic() + 60
        while True:
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
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
        self._db.close()

    def keys(self) -> set[Key]:
        """What has been done; samples that ended in an error are not, so that they are tried again."""
        return set(
            self._db.execute(
                "SELECT setting, question, sample FROM samples WHERE json_extract(row, '$.verdict') != 'error'"
            )
        )

    def write(self, entries: Iterable[Entry]) -> None:
        """Add samples, all or none; one that is there already stays as it was, unless it was an error.

        Raises:
            OSError: if they cannot be written, say because the disk is full; what was written before is safe.
        """
        rows = [(e.setting, e.question, e.sample, json.dumps(e.row, ensure_ascii=False)) for e in entries]
        try:
            with self._db:
                self._db.executemany(_INSERT, rows)
        except sqlite3.OperationalError as error:
            raise OSError(
                f"the journal cannot be written ({error}); run the same command again to go on from here"
            ) from error

    def entries(self) -> Iterator[Entry]:
        """Everything, in the order of the keys."""
        for setting, question, sample, row in self._db.execute(
            "SELECT * FROM samples ORDER BY setting, question, sample"
        ):
            yield Entry(setting, question, sample, json.loads(row))
