"""Damaged, read-only and unfinished journals: read as far as they go, and what is good comes out."""

from __future__ import annotations

import io
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.sweeps import Counting, go, journal, plan
from typer.testing import CliRunner

from thinkpace.eval.cli.app import app
from thinkpace.eval.report.compare import compare
from thinkpace.eval.report.publish import publish
from thinkpace.eval.runs.journal import Journal
from thinkpace.eval.runs.salvage import salvage
from thinkpace.eval.task import Example

MANY = tuple(Example(f"q{i}", f"Q<t>{i}", "7") for i in range(60))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A finished sweep of several pages."""
    with journal(tmp_path) as book:
        go(plan(examples=MANY), Counting(), book)
    return tmp_path / "journal.sqlite"


def damage(path: Path, table: str) -> None:
    """Overwrite a leaf page in the middle of a table."""
    with sqlite3.connect(path) as db:
        [size] = db.execute("PRAGMA page_size").fetchone()
        leaves = db.execute("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,))
        pages = [page for [page] in leaves]
    db.close()
    data = bytearray(path.read_bytes())
    at = (pages[len(pages) // 2] - 1) * size
    data[at : at + size] = b"\xee" * size
    path.write_bytes(data)


def test_the_good_samples_come_out_of_a_damaged_journal(made: Path, tmp_path: Path) -> None:
    with Journal(made, read_only=True) as book:
        whole = {entry.key: entry for entry in book.entries()}
    damage(made, "samples")
    found = salvage(made, tmp_path / "new" / "journal.sqlite")
    assert 0 < found.samples < len(whole) == found.wanted
    assert found.samples > 0.7 * len(whole), "both sides of the damage"
    with Journal(tmp_path / "new" / "journal.sqlite") as book:
        kept = {entry.key: entry for entry in book.entries()}
        assert all(whole[key] == entry for key, entry in kept.items())
        engine = Counting()
        go(plan(examples=MANY), engine, book)
        assert {entry.key: entry for entry in book.entries()}.keys() == whole.keys(), "the rest is generated again"
    with pytest.raises(FileExistsError, match="choose another folder"):
        salvage(made, tmp_path / "new" / "journal.sqlite")


def test_damage_is_told_in_a_sentence(made: Path, tmp_path: Path) -> None:
    """E18: it was a raw error of sqlite, and one bad folder took `ls` down for all."""
    damage(made, "samples")
    for command in (["report", str(tmp_path)], ["compare", str(tmp_path)], ["validate", str(tmp_path)]):
        done = CliRunner().invoke(app, command)
        assert isinstance(done.exception, ValueError)
        assert "is damaged" in str(done.exception)
        assert "thinkpace salvage" in str(done.exception)
    other = tmp_path / "other" / "journal.sqlite"
    other.parent.mkdir()
    other.write_bytes(b"no database at all, but long enough" * 30)
    listed = CliRunner().invoke(app, ["ls", str(tmp_path)], env={"COLUMNS": "300"})
    assert listed.exit_code == 0
    assert "cannot be used as a journal" in listed.output
    out = CliRunner().invoke(app, ["salvage", str(tmp_path), "--out", str(tmp_path / "good")])
    assert "samples could be read" in out.output


def test_nothing_that_can_be_read(tmp_path: Path) -> None:
    bad = tmp_path / "journal.sqlite"
    bad.write_bytes(b"no database at all, but long enough" * 30)
    with pytest.raises(ValueError, match="nothing can be read"):
        salvage(bad, tmp_path / "new" / "journal.sqlite")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_read(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """E19: on a read-only mount sqlite cannot make its files beside the journal, which is then copied."""
    real = sqlite3.connect

    def connect(database: Any, **given: Any) -> sqlite3.Connection:
        if "mode=ro" in str(database) or str(database) == str(made):
            raise sqlite3.OperationalError("unable to open database file")
        made_here: sqlite3.Connection = real(database, **given)
        return made_here

    monkeypatch.setattr(sqlite3, "connect", connect)
    assert len(compare([tmp_path])) > 1
    (tmp_path / "out").mkdir()
    with Journal(made, read_only=True) as book:
        publish(book, tmp_path / "out", Console(quiet=True))
    assert (tmp_path / "out" / "report.html").is_file()


def test_an_unfinished_sweep_says_so(tmp_path: Path) -> None:
    """E20: 16 of 24 samples, two settings without any, and the page looked complete."""
    what = plan(examples=MANY[:8])
    with journal(tmp_path) as book:
        go(replace(what, settings=what.settings[:1]), Counting(), book)
    with journal(tmp_path) as book:
        book._db.execute("UPDATE wanted SET samples = 3")
        shown = io.StringIO()
        publish(book, tmp_path, Console(file=shown, width=200))
    assert "unfinished: 8 of 24 samples are there" in shown.getvalue()
    assert "unfinished: 8 of 24 samples" in (tmp_path / "report.html").read_text()
