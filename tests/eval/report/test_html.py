"""The page opens in a real browser without an error, and says what the tables say."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console
from support.toy_engine import ToyEngine

from thinkpace import Sampling, ThoughtSwitchPenalty
from thinkpace.eval.executors.local import Here
from thinkpace.eval.report.publish import TABLE_FILES, publish
from thinkpace.eval.runs.journal import Entry, Journal
from thinkpace.eval.runs.plan import EngineInfo, Plan
from thinkpace.eval.runs.run import run
from thinkpace.eval.runs.settings import grid, with_controls
from thinkpace.eval.task import Example
from thinkpace.prompts import BARE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep with several samples, controls beside budgets, a sample that failed, and text that looks like HTML."""
    path = tmp_path_factory.mktemp("sweep")
    examples = tuple(Example(f"q{i}", "Q<t>", "7") for i in range(12))
    settings = with_controls(
        grid([0, 4, None], [0, 1], final="so", answer_reserve=2), [(ThoughtSwitchPenalty(1, 2, ("so",)),)]
    )
    plan = Plan("toy <b>&", examples, settings, (BARE,), Sampling(1.0), 3, 30, 0)
    engine = ToyEngine()
    with Journal(path / "journal.sqlite") as book:
        run(plan, Here(engine), book, EngineInfo.of(engine, plan.prompts, plan.examples))
        failed = next(book.entries())
        book._db.execute("DELETE FROM samples WHERE point = ? AND question = ? AND sample = ?", failed.key)
        nasty = {"error": "<script>alert(1)</script> & more", "seconds": 0.1}
        book.write([Entry(*failed.key, failed.seed, "error", nasty)])
        publish(book, path, Console(quiet=True))
    return path


def opened(page: Path, *flags: str) -> tuple[str, str]:
    """The page's DOM after loading, and what the browser had to say."""
    assert CHROMIUM is not None
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0", *flags]
    done = subprocess.run(
        [CHROMIUM, *arguments, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout, done.stderr


class EditArrays(HTMLParser):
    """The rows of the table of results: the attributes of each."""

    def __init__(self, dom: str) -> None:
        super().__init__()
        self.rows: list[dict[str, str | None]] = []
        self.feed(dom)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr" and any(name == "data-accuracy" for name, _ in attrs):
            self.rows.append(dict(attrs))


@needs_browser
@pytest.mark.timeout(300)
def test_in_a_browser(folder: Path) -> None:
    dom, said = opened(folder / "report.html")
    assert "CONSOLE" not in said, said
    table = list(csv.DictReader((folder / "results.csv").read_text().splitlines()))
    shown = EditArrays(dom).rows
    assert len(shown) == len(table) == 12
    for row, known in zip(shown, table, strict=True):
        assert row["data-accuracy"] == known["accuracy"]
        assert (row["data-ci-low"], row["data-ci-high"]) == (known["ci_low"], known["ci_high"])
        assert row["data-thinking"] == known["thinking_tokens_mean"]
        assert row["data-truncated"] == known["truncated"]
    body = dom[dom.index('id="results"') :]
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", body)
    for known in table:
        assert f"{100 * float(known['accuracy']):.1f}" in cells
        assert f"{float(known['thinking_tokens_mean']):.1f}" in cells


@needs_browser
@pytest.mark.timeout(300)
def test_a_page_with_an_error_would_be_noticed(tmp_path: Path) -> None:
    """The check above can fail."""
    (tmp_path / "page.html").write_text("<script>console.error('no'); undefined_function()</script>")
    assert "CONSOLE" in opened(tmp_path / "page.html")[1]


def test_it_is_one_file_and_texts_are_texts(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page), "nothing is fetched"
    assert "@import" not in page
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "toy &lt;b&gt;&amp;" in page
    assert page.count("<svg") == 2, "one picture for light, one for dark"


def test_the_tables_are_the_same_every_time(folder: Path, tmp_path: Path) -> None:
    before = {name: (folder / name).read_bytes() for name in (*TABLE_FILES, "curve.svg")}
    with Journal(folder / "journal.sqlite") as book:
        publish(book, tmp_path, Console(quiet=True))
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_the_ledger_adds_up(folder: Path) -> None:
    for row in csv.DictReader((folder / "ledger.csv").read_text().splitlines()):
        parts = [int(row[name]) for name in ("thinking", "injected", "marker", "answer")]
        assert sum(parts) == int(row["output"]) == int(row["generated"]) + int(row["shared"]) - int(row["probe"])
    with Journal(folder / "journal.sqlite") as book:
        tokens = sum(len(entry.row["tokens"]) for entry in book.entries() if "tokens" in entry.row)
    assert sum(int(row["output"]) for row in csv.DictReader((folder / "ledger.csv").read_text().splitlines())) == tokens


def test_without_samples_there_is_nothing_to_publish(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as book, pytest.raises(ValueError, match="holds no samples yet"):
        publish(book, tmp_path, Console(quiet=True))


def test_a_sweep_that_failed_altogether_says_why(folder: Path, tmp_path: Path) -> None:
    with Journal(folder / "journal.sqlite") as book:
        points, questions = book.points[:1], [(name, *said) for name, said in book.questions.items()]
    with Journal(tmp_path / "journal.sqlite") as book:
        book.begin({}, [replace(point, seed=9) for point in points], questions)
        book.write([Entry(replace(points[0], seed=9).id, "q0", 0, 0, "error", {"error": "out of memory"})])
        with pytest.raises(ValueError, match="every sample failed, the first with: out of memory"):
            publish(book, tmp_path, Console(quiet=True))
