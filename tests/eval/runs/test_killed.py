"""SIGKILL at twenty random moments of a sweep, and the tables come out the same to the byte."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.places import TESTS

from thinkpace.eval.report.publish import TABLE_FILES

QUESTIONS, SETTINGS, SAMPLES = 70, 4, 2

#: a whole sweep, from its plan to its pictures, on an engine that is slow enough to be caught at it
SWEEP = f"""
import sys
from pathlib import Path
from rich.console import Console
from support.toy_engine import ToyEngine
from thinkpace.eval.executors import Here
from thinkpace.eval.journal import Journal
from thinkpace.eval.plan import Card, Plan
from thinkpace.eval.publishing import publish
from thinkpace.eval.settings import grid
from thinkpace.eval.sweep import run
from thinkpace.eval.task import Example
from thinkpace import Sampling
from thinkpace.prompts import BARE

examples = tuple(Example(f"q{{i}}", "Q<t>", "7") for i in range({QUESTIONS}))
settings = grid([4, None], [0, 1], final="so", answer_reserve=2)
plan = Plan("toy", examples, settings, (BARE,), Sampling(1.0), {SAMPLES}, 30, 0, replay=sys.argv[2] == "replay")
engine, folder = ToyEngine(0.1), Path(sys.argv[1])
with Journal(folder / "journal.sqlite") as journal:
    run(plan, Here(engine), journal, Card.of(engine, plan.prompts, plan.examples))
    publish(journal, folder, Console(quiet=True))
"""


def started(folder: Path, how: str) -> subprocess.Popen[bytes]:
    import thinkpace

    paths = (str(TESTS), str(Path(thinkpace.__file__).parent.parent))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen([sys.executable, "-c", SWEEP, str(folder), how], env=environment)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("how", ["separate", "replay"])
def test_at_twenty_moments(how: str, tmp_path: Path) -> None:
    whole, killed, total = tmp_path / "whole", tmp_path / "killed", QUESTIONS * SETTINGS * SAMPLES
    process = started(whole, how)
    began = until(process, lambda: (whole / "journal.sqlite").exists())
    generated = until(process, lambda: count(whole) == total) - began
    assert process.wait() == 0
    took = time.monotonic() - began
    moments, kills, seen = random.Random(6), 0, list[int]()
    while kills < 20:
        if killed.exists() and kills % 2 and count(killed) == total:
            shutil.rmtree(killed)  # every other kill is one of a sweep that still generates
        process = started(killed, how)
        until(process, lambda: (killed / "journal.sqlite").exists())  # however long a machine takes to import it all
        try:
            process.wait(moments.uniform(0.0, generated if kills % 2 else took))
        except subprocess.TimeoutExpired:
            kills += 1
            process.send_signal(signal.SIGKILL)
            process.wait()
            seen.append(count(killed))
        else:  # it came to its end: the next one begins anew
            same(whole, killed)
            shutil.rmtree(killed)
    assert started(killed, how).wait() == 0
    same(whole, killed)
    assert count(killed) == total, "no row twice, none missing"
    assert any(0 < rows < total for rows in seen), f"it was caught at it: {seen}"


def until(process: subprocess.Popen[bytes], happens: Callable[[], bool]) -> float:
    """Wait for something that a process does, or for its end; the time at which it was there."""
    while process.poll() is None and not happens():
        time.sleep(0.01)
    return time.monotonic()


def count(folder: Path) -> int:
    if not (folder / "journal.sqlite").exists():
        return 0
    book = sqlite3.connect(folder / "journal.sqlite")
    try:
        return int(book.execute("SELECT count(*) FROM samples").fetchone()[0])
    except sqlite3.OperationalError:  # not set up yet
        return 0
    finally:
        book.close()


def same(one: Path, other: Path) -> None:
    for name in TABLE_FILES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
