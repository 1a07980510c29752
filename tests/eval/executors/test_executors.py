"""Wherever the work is done it is done once, and a worker that dies takes nothing with it."""

from __future__ import annotations

import functools
import importlib.util
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.places import ROOT, TESTS
from support.toy_engine import (
    Deadly,
    ToyEngine,
    awkward,
    die,
    dies_at_its_start,
    divide,
    double,
    no_model,
    process_id,
    slow_process_id,
)

from thinkpace import Sampling
from thinkpace.eval.executors.local import Executor, Here, Processes, WorkerDied
from thinkpace.eval.report import tables
from thinkpace.eval.runs.journal import Journal
from thinkpace.eval.runs.plan import EngineInfo, Plan
from thinkpace.eval.runs.run import run
from thinkpace.eval.runs.settings import grid
from thinkpace.eval.task import Example
from thinkpace.prompts import BARE

PLAN = Plan(
    "toy",
    tuple(Example(f"q{i}", "Q<t>", "7") for i in range(130)),
    grid([0, 4, None], [0, 1], final="so", answer_reserve=2),
    (BARE,),
    Sampling(1.0),
    1,
    30,
    0,
)
OPENER = functools.partial(ToyEngine, 0.2)
needs_ray = pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="needs Ray: pip install '.[ray]'")


@pytest.fixture(params=["processes", pytest.param("ray", marks=needs_ray)])
def executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Executor]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(TESTS), str(ROOT))))  # where the workers find the engine
    if request.param == "processes":
        with Processes(OPENER, 2) as made:
            yield made
        return
    from thinkpace.eval.executors.ray import OnRay

    with OnRay(OPENER, 2) as cluster:
        yield cluster


def swept(executor: Executor, folder: Path) -> list[dict[str, object]]:
    card = executor.call(EngineInfo.of, PLAN.prompts, PLAN.examples)
    with Journal(folder / "journal.sqlite") as book:
        run(PLAN, executor, book, card)
        return [*tables.sample_rows(book.points, book.entries())]


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("default")  # Ray's own
def test_a_killed_worker_loses_nothing(executor: Executor, tmp_path: Path) -> None:
    workers = {made for _, made in executor.map(slow_process_id, range(6)) if isinstance(made, int)}
    assert len(workers) == 2, "both work"
    assert os.getpid() not in workers
    victim = workers.pop()
    killer = threading.Timer(1.0, os.kill, (victim, signal.SIGKILL))
    killer.start()
    found = swept(executor, tmp_path / "killed")
    killer.join()
    with pytest.raises(ProcessLookupError):
        os.kill(victim, 0)
    assert found == swept(Here(ToyEngine()), tmp_path / "here")
    assert len(found) == 6 * 130


@pytest.mark.filterwarnings("default")
def test_an_error_of_the_work_is_raised(executor: Executor) -> None:
    with pytest.raises(ZeroDivisionError):
        executor.call(divide)


@pytest.mark.filterwarnings("default")
def test_work_that_kills_every_worker_is_given_back(executor: Executor) -> None:
    [(item, result)] = executor.map(die, [1])
    assert item == 1
    assert isinstance(result, WorkerDied)
    assert [made for _, made in executor.map(double, [4])] == [8], "the others live"


@pytest.mark.filterwarnings("default")
def test_samples_that_no_worker_survives_have_failed(tmp_path: Path) -> None:
    """The sweep continues without them, and a later run makes them."""
    plan = replace(PLAN, settings=PLAN.settings[:1])
    with Journal(tmp_path / "journal.sqlite") as book:
        with Processes(Deadly, 1) as executor:
            run(plan, executor, book, executor.call(EngineInfo.of, plan.prompts, plan.examples))
        failed = [entry for entry in book.entries() if entry.verdict == "error"]
        assert len(failed) == 2, "those that were generated together, and no others"
        assert "the worker died 3 times" in failed[0].row["error"]
        run(plan, Here(ToyEngine()), book, EngineInfo.of(ToyEngine(), plan.prompts, plan.examples))
        assert not [entry for entry in book.entries() if entry.verdict == "error"]


def test_a_journal_shared_by_two_sweeps_at_once(tmp_path: Path) -> None:
    """Two processes, the same plan: each does some of the units, none is done twice, none is missing."""
    counts = [tmp_path / "one", tmp_path / "two"]
    children = []
    for count in counts:
        child = os.fork()
        if child == 0:
            engine = Counted(count)
            with Journal(tmp_path / "journal.sqlite") as book:
                run(PLAN, Here(engine), book, EngineInfo.of(engine, PLAN.prompts, PLAN.examples))
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    done = [len(count.read_bytes()) for count in counts]
    assert min(done) > 0, "they share the work"
    assert sum(done) == 6 * 3, "six settings, three chunks, each generated once"
    with Journal(tmp_path / "journal.sqlite") as book:
        assert len([*book.entries()]) == 6 * 130


class Counted(ToyEngine):
    def __init__(self, path: Path) -> None:
        super().__init__(0.2)
        self._path = path

    def generate(self, requests):  # type: ignore[no-untyped-def]  # as above it
        with self._path.open("ab") as file:
            file.write(b"x")
        return super().generate(requests)


@pytest.mark.filterwarnings("default")
def test_a_worker_that_is_killed_at_rest_is_replaced() -> None:
    """pebble gives such a pool up for good, and every later call failed."""
    with Processes(ToyEngine, 1) as executor:
        os.kill(executor.call(process_id), signal.SIGKILL)
        time.sleep(1)
        assert executor.call(double, 2) == 4
        assert sorted(executor.map(double, [1, 2])) == [(1, 2), (2, 4)], "as they come"


@pytest.mark.filterwarnings("default")
def test_workers_that_die_at_their_start_are_no_crash() -> None:
    with Processes(dies_at_its_start, 1) as executor, pytest.raises(WorkerDied):
        executor.call(double, 2)


@pytest.mark.filterwarnings("default")
def test_an_engine_that_cannot_be_opened_says_why() -> None:
    with Processes(no_model, 1) as executor, pytest.raises(ValueError, match="there is no model"):
        executor.call(slow_process_id, 1)


@pytest.mark.filterwarnings("default")
def test_an_error_that_cannot_travel_is_told_as_text() -> None:
    with Processes(OPENER, 1) as executor, pytest.raises(RuntimeError, match="Awkward: one two"):
        executor.call(awkward)
