"""Sweeps on the scripted engine: every sample once, failures as failures, the same results after a stop."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from strategies import VOCABULARY

from thinkpace import BudgetForcing, LoopBreaker, Markers, ThinkBudget, ThoughtSwitchPenalty, UnsupportedControl
from thinkpace.adapters.scripted import ScriptedEngine
from thinkpace.eval import report
from thinkpace.eval.journal import Entry, Journal
from thinkpace.eval.sweep import CHUNK, Plan, Setting, grid, results, run, sample_seed, with_controls
from thinkpace.eval.task import Example, load_jsonl
from thinkpace.processors import Completion, Request, Sampling

EXAMPLES = tuple(Example(f"q{i}", "Q<t>", "7") for i in range(100))


def noisy(_prompt: Sequence[int], output: Sequence[int]) -> np.ndarray:
    return np.random.default_rng([len(output), *output[-1:]]).normal(size=VOCABULARY.size)


class Counting(ScriptedEngine):
    """Counts calls, and can be told to fail: at a call, or for a prompt's seed."""

    def __init__(self, fail_at: int = -1, broken_seed: int = -1) -> None:
        super().__init__(noisy, VOCABULARY, Markers("<t>", "</t>"))
        self.calls, self.fail_at, self.broken_seed = 0, fail_at, broken_seed

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        if any(request.seed == self.broken_seed for request in requests):
            raise RuntimeError("out of memory")
        return super().generate(requests)


def plan(samples: int = 1, examples: tuple[Example, ...] = EXAMPLES, **fields: object) -> Plan:
    settings = grid([0, 4, None], [0, 1], final="so", answer_reserve=2, **fields)
    return Plan("toy", examples, settings, None, Sampling(1.0), samples, 30, 0)


def journal(folder: Path, what: Plan, engine: ScriptedEngine) -> Journal:
    return Journal(folder / "journal.sqlite", what.identity(engine))


def test_every_sample_once_and_the_budget_holds(tmp_path: Path) -> None:
    engine, what, seen = Counting(), plan(samples=2), list[int]()
    with journal(tmp_path, what, engine) as book:
        run(what, engine, book, seen.append)
        entries = list(book.entries())
    assert sum(seen) == len(entries) == len({entry.key for entry in entries}) == 6 * 200
    for result in results(what, entries):
        assert result.samples == 200
        assert result.ci_low <= result.accuracy <= result.ci_high
        if result.max_tokens is not None:
            assert result.thinking_tokens_max <= result.max_tokens
    assert all(entry.row["usage"]["prompt"] == 2 for entry in entries)


def test_a_stopped_sweep_goes_on_and_does_nothing_twice(tmp_path: Path) -> None:
    what, whole = plan(), Counting()
    with journal(tmp_path / "whole", what, whole) as book:
        run(what, whole, book)
        expected = list(book.entries())
    stopped = Counting(fail_at=5)
    with journal(tmp_path / "stopped", what, stopped) as book, pytest.raises(KeyboardInterrupt):
        run(what, stopped, book)
    resumed = Counting()
    with journal(tmp_path / "stopped", what, resumed) as book:
        run(what, resumed, book)
        assert list(book.entries()) == expected
    chunks = len(what.settings) * -(-len(EXAMPLES) // CHUNK)
    assert resumed.calls == chunks - 4
    with journal(tmp_path / "stopped", what, resumed) as book:
        run(what, resumed, book)
    assert resumed.calls == chunks - 4, "a finished sweep is not generated again"


def test_a_failure_is_an_error_row_and_is_tried_again(tmp_path: Path) -> None:
    what = plan(examples=EXAMPLES[:10])
    broken = Counting(broken_seed=sample_seed(0, "q3", 0))
    with journal(tmp_path, what, broken) as book:
        run(what, broken, book)
        entries = list(book.entries())
        assert [e.question for e in entries if e.row["verdict"] == "error"] == ["q3"] * 6
        assert all("out of memory" in e.row["error"] for e in entries if e.row["verdict"] == "error")
        for result in results(what, entries):
            assert (result.samples, result.errors) == (9, 1)
        run(what, Counting(), book)
        assert not [e for e in book.entries() if e.row["verdict"] == "error"]


def test_two_processes_on_one_journal_write_each_sample_once(tmp_path: Path) -> None:
    what, engine = plan(examples=EXAMPLES[:5]), Counting()
    with journal(tmp_path, what, engine) as one, journal(tmp_path, what, engine) as other:
        run(what, engine, one)
        first = list(one.entries())
        other.write(first)
        assert list(other.entries()) == first


def test_another_plan_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    engine = Counting()
    with journal(tmp_path, plan(), engine):
        pass
    with pytest.raises(ValueError, match=r"another run .*samples"):
        journal(tmp_path, plan(samples=2), engine)


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_text("not a database, and long enough to be looked at as one" * 20)
    with pytest.raises(ValueError, match="cannot be used as a journal"):
        journal(tmp_path, plan(), Counting())


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    what, engine = plan(examples=EXAMPLES[:5]), Counting()
    with journal(tmp_path, what, engine) as book:
        run(what, engine, book)
        before = list(book.entries())
        pages = book._db.execute("PRAGMA page_count").fetchone()[0]
        book._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(OSError, match="run the same command again"):
            book.write([Entry("s", f"big{i}", 0, {"verdict": "right", "text": "x" * 10_000}) for i in range(20)])
        assert list(book.entries()) == before


def test_what_cannot_work_is_refused_before_anything_is_generated(tmp_path: Path) -> None:
    engine = Counting()
    what = Plan("toy", EXAMPLES, (Setting((BudgetForcing(waits=1, wait="Hmm"),)),), None, Sampling(1.0), 1, 200, 0)
    with journal(tmp_path, what, engine) as book, pytest.raises(UnsupportedControl, match="cannot spell wait"):
        run(what, engine, book)
    assert engine.calls == 0


def test_the_same_seeds_for_every_setting() -> None:
    seeds = {sample_seed(0, example.id, sample) for example in EXAMPLES for sample in range(3)}
    assert len(seeds) == 300
    assert sample_seed(0, "q1", 0) != sample_seed(1, "q1", 0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"examples": ()}, "at least one question"),
        ({"settings": ()}, "at least one setting"),
        ({"samples": 0}, "samples"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_bad_plans(fields: dict[str, object], message: str) -> None:
    good = {
        "task": "t",
        "examples": EXAMPLES,
        "settings": grid([1], [0]),
        "prompt": None,
        "sampling": Sampling(),
        "samples": 1,
    }
    with pytest.raises(ValueError, match=message):
        Plan(**(good | {"max_new_tokens": 9, "seed": 0} | fields))  # type: ignore[arg-type]  # the mistakes


def test_a_setting_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="are the same"):
        Plan("t", EXAMPLES, grid([5, 5], [0]), None, Sampling(), 1, 9, 0)


def test_files_of_a_sweep(tmp_path: Path) -> None:
    engine, what = Counting(), plan()
    with journal(tmp_path, what, engine) as book:
        run(what, engine, book)
        entries = list(book.entries())
    outcome = results(what, entries)
    report.write_csv(outcome, tmp_path / "results.csv")
    report.write_samples(entries, tmp_path / "samples.jsonl")
    report.draw_curve(outcome, tmp_path / "curve.png", "toy", "a note")
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert [(row["max_tokens"], row["waits"]) for row in rows] == [(b, w) for b in ("0", "4", "") for w in "01"]
    wanted = (
        "task,control,max_tokens,waits,samples,accuracy,ci_low,ci_high,thinking_tokens_mean,thinking_tokens_max,"
        "forced_tokens_mean,truncated"
    )
    assert set(wanted.split(",")) <= set(rows[0])
    samples = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert len(samples) == 600
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_setting_that_failed_altogether_is_undefined_not_zero() -> None:
    what = plan(examples=EXAMPLES[:1])
    errors = [Entry(s.name, "q0", 0, {"verdict": "error", "error": "x"}) for s in what.settings]
    for result in results(what, errors):
        assert result.accuracy != result.accuracy  # NaN
        assert (result.samples, result.errors) == (0, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no questions"),
        ('{"question": "q"}', "line 1: no answer"),
        ('{"question": "q", "answer": " "}', "line 1: no answer"),
        ('{"question": "q", "answer": null}', "line 1: no answer"),
        ('\n{"answer": "1"}', "line 2: no question"),
        ("[1]", "line 1: expected an object"),
        ("{", "line 1: not JSON"),
        ('{"question": "\\ud800x", "answer": "1"}', "line 1: not JSON"),
        (
            '{"id": 1, "question": "q", "answer": 1}\n{"id": "1", "question": "r", "answer": 2}',
            "line 2: the id '1' was used",
        ),
    ],
)
def test_bad_task_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "task.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_jsonl(path)


def test_good_task_files(tmp_path: Path) -> None:
    path = tmp_path / "task.jsonl"
    path.write_text('{"question": "q", "answer": 4}\n\n{"id": "x", "question": "r", "answer": "5"}\n')
    assert load_jsonl(path) == [Example("line 1", "q", "4"), Example("x", "r", "5")]
    path.write_text('\ufeff{"id": "2", "question": "a\u2028b", "answer": 4}\n{"question": "r", "answer": "5"}\n')
    assert [example.id for example in load_jsonl(path)] == ["2", "line 2"]


def test_journals_are_readable_while_they_are_written(tmp_path: Path) -> None:
    engine, what = Counting(), plan(examples=EXAMPLES[:3])
    with journal(tmp_path, what, engine) as book:
        run(what, engine, book)
        other = sqlite3.connect(tmp_path / "journal.sqlite")
        assert other.execute("SELECT count(*) FROM samples").fetchone() == (18,)
        other.close()


def test_controls_are_compared_with_the_same_budget_alone(tmp_path: Path) -> None:
    penalty, landing = ThoughtSwitchPenalty(beta=2, expressions=("so",)), ThinkBudget(9, landing=3, answer_reserve=2)
    settings = with_controls(grid([4, None], [0], final="so", answer_reserve=2), [(penalty,), (landing,)])
    assert [setting.kind for setting in settings] == [
        "BudgetForcing",
        "BudgetForcing",
        "ThoughtSwitchPenalty+BudgetForcing",
        "ThoughtSwitchPenalty+BudgetForcing",
        "ThinkBudget",
    ]
    what = Plan("toy", EXAMPLES, settings, None, Sampling(1.0), 1, 30, 0)
    assert [what.baseline(setting) for setting in settings] == [None, None, settings[0], settings[1], settings[1]]
    engine = Counting()
    with journal(tmp_path, what, engine) as book:
        run(what, engine, book)
        found = results(what, book.entries())
    assert [np.isnan(result.difference) for result in found] == [True, True, False, False, False]
    assert found[2].difference == pytest.approx(found[2].accuracy - found[0].accuracy)
    assert found[2].difference_low <= found[2].difference <= found[2].difference_high
    report.draw_curve(found, tmp_path / "curve.png", "toy")
    table = report.table(found, "toy")
    assert "ThoughtSwitchPenalty(beta=2, expressions=('so',))" in str(table.caption)


def test_without_any_control_is_a_baseline_too() -> None:
    settings = (Setting(()), Setting((ThinkBudget(4),)), Setting((LoopBreaker(), ThinkBudget(4))))
    what = Plan("toy", EXAMPLES, settings, None, Sampling(1.0), 1, 200, 0)
    assert [what.baseline(setting) for setting in settings] == [None, settings[0], settings[1]]
    assert settings[0].name == "no control"
