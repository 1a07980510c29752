"""The journal: shared, refused, full, read while it is written; nothing in it is lost."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from support.sweeps import EXAMPLES, Counting, go, journal, make_plan, plan

from thinkpace import Sampling
from thinkpace.eval.runs.journal import Entry, Progress
from thinkpace.eval.runs.plan import Plan
from thinkpace.eval.runs.settings import grid
from thinkpace.eval.task import Example


def test_two_processes_on_one_journal_write_each_sample_once(tmp_path: Path) -> None:
    what, engine = plan(examples=EXAMPLES[:5]), Counting()
    with journal(tmp_path) as one, journal(tmp_path) as other:
        go(what, engine, one)
        first = list(one.entries())
        other.write(first)
        assert list(other.entries()) == first


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (replace(plan(), seed=1), "seed"),
        (replace(plan(), sampling=Sampling(0.5)), "sampling"),
        (replace(plan(), replay=True), "replay"),
        (replace(plan(), max_new_tokens=31), "max_new_tokens"),
        (plan(examples=(Example("q0", "Q<t>", "8"),)), "question 'q0'"),
    ],
)
def test_another_run_in_the_same_folder_is_refused(tmp_path: Path, other: Plan, named: str) -> None:
    with journal(tmp_path) as book:
        go(plan(examples=EXAMPLES[:3]), Counting(), book)
        with pytest.raises(ValueError, match=rf"another run \(different: {named}\)"):
            go(other, Counting(), book)


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_text("not a database, and long enough to be looked at as one" * 20)
    with pytest.raises(ValueError, match="cannot be used as a journal"):
        journal(tmp_path)


def test_a_journal_of_an_older_version_is_refused(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "journal.sqlite")
    old.execute("CREATE TABLE samples (setting TEXT, question TEXT, sample INTEGER, row TEXT)")
    old.close()
    with pytest.raises(ValueError, match="an older version"):
        journal(tmp_path)
    with journal(tmp_path / "new"):
        pass
    new = sqlite3.connect(tmp_path / "new" / "journal.sqlite")
    new.execute("PRAGMA user_version = 99")
    new.close()
    with pytest.raises(ValueError, match="a newer version"):
        journal(tmp_path / "new")


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    what, engine = plan(examples=EXAMPLES[:5]), Counting()
    with journal(tmp_path) as book:
        go(what, engine, book)
        before = list(book.entries())
        pages = book._db.execute("PRAGMA page_count").fetchone()[0]
        book._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(OSError, match="run the same command again"):
            book.write([Entry("s", f"big{i}", 0, 0, "right", {"text": "x" * 10_000}) for i in range(20)])
        assert list(book.entries()) == before


def test_journals_are_readable_while_they_are_written(tmp_path: Path) -> None:
    engine, what = Counting(), plan(examples=EXAMPLES[:3])
    with journal(tmp_path) as book:
        go(what, engine, book)
        other = sqlite3.connect(tmp_path / "journal.sqlite")
        assert other.execute("SELECT count(*) FROM samples").fetchone() == (18,)
        other.close()


def test_what_a_folder_was_asked_for_stays_so(tmp_path: Path) -> None:
    """A smaller sweep into the same folder takes nothing back."""
    engine = Counting()
    with journal(tmp_path) as book:
        go(plan(samples=3, examples=EXAMPLES[:4]), engine, book)
        go(make_plan(grid([9], [0], final="so", answer_reserve=2), examples=EXAMPLES[:4]), engine, book)
        assert book.progress == Progress(6 * 4 * 3 + 4, 6 * 4 * 3 + 4, 0)
        book._db.execute("DELETE FROM samples WHERE sample = 0")
        assert book.progress == Progress(76, 48, 0)
