"""Sweeps on the scripted engine: every sample once, failures as failures, the same results after a stop."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from support.sweeps import EXAMPLES, Counting, found, go, journal, make_plan, plan

from thinkpace import (
    BudgetForcing,
    Completion,
    LoopBreaker,
    Request,
    Sampling,
    ThinkBudget,
    ThoughtSwitchPenalty,
    UnsupportedControl,
)
from thinkpace.eval.grading.grader import Grading
from thinkpace.eval.report import plot, tables, terminal
from thinkpace.eval.runs.journal import Entry, Journal, Progress
from thinkpace.eval.runs.judge import graded_entries
from thinkpace.eval.runs.plan import CHUNK, EngineInfo, Plan
from thinkpace.eval.runs.settings import Setting, baseline, grid, with_controls
from thinkpace.eval.runs.unit import RawSample, sample_seed
from thinkpace.eval.stats.lines import lines
from thinkpace.eval.stats.results import results
from thinkpace.eval.task import Example
from thinkpace.prompts import BARE


def test_every_sample_once_and_the_budget_holds(tmp_path: Path) -> None:
    engine, what, seen = Counting(), plan(samples=2), list[int]()
    with journal(tmp_path) as book:
        go(what, engine, book, seen.append)
        entries = list(book.entries())
    assert sum(seen) == len(entries) == len({entry.key for entry in entries}) == 6 * 200
    for result in results(what.points(EngineInfo.of(engine, what.prompts, ())), entries):
        assert result.samples == 200
        assert result.ci_low <= result.accuracy <= result.ci_high
        if result.max_tokens is not None:
            assert result.thinking_tokens_max <= result.max_tokens
    assert all(entry.row["usage"]["prompt"] == 2 for entry in entries)


def test_a_stopped_sweep_goes_on_and_does_nothing_twice(tmp_path: Path) -> None:
    what, whole = plan(), Counting()
    with journal(tmp_path / "whole") as book:
        go(what, whole, book)
        expected = told(book)
    stopped = Counting(fail_at=5)
    with journal(tmp_path / "stopped") as book, pytest.raises(KeyboardInterrupt):
        go(what, stopped, book)
    resumed = Counting()
    with journal(tmp_path / "stopped") as book:
        go(what, resumed, book)
        assert told(book) == expected
    chunks = len(what.settings) * -(-len(EXAMPLES) // CHUNK)
    assert resumed.calls == chunks - 4
    with journal(tmp_path / "stopped") as book:
        go(what, resumed, book)
    assert resumed.calls == chunks - 4, "a finished sweep is not generated again"


def told(book: Journal) -> list[dict[str, object]]:
    """The samples without what differs from run to run."""
    return [*tables.sample_rows(book.points, book.entries())]


def test_samples_and_settings_can_be_added(tmp_path: Path) -> None:
    engine = Counting()
    with journal(tmp_path) as book:
        go(plan(samples=1), engine, book)
        first, calls = told(book), engine.calls
        go(plan(samples=2), engine, book)
        assert [row for row in told(book) if row["sample"] == 0] == first
        assert engine.calls == 2 * calls
        go(make_plan(grid([0, 4, 9, None], [0, 1], final="so", answer_reserve=2), samples=2), engine, book)
        assert engine.calls == 2 * calls + 8, "two settings, two samples, two chunks of questions"
        assert {result.samples for result in found(book)} == {200}


def test_a_failure_is_an_error_row_and_is_tried_again(tmp_path: Path) -> None:
    what = plan(examples=EXAMPLES[:10])
    broken = Counting(broken_seed=sample_seed(0, "q3", 0))
    with journal(tmp_path) as book:
        go(what, broken, book)
        entries = list(book.entries())
        assert [e.question for e in entries if e.verdict == "error"] == ["q3"] * 6
        assert all("out of memory" in e.row["error"] for e in entries if e.verdict == "error")
        for result in found(book):
            assert (result.samples, result.errors) == (9, 1)
        go(what, Counting(), book)
        assert not [e for e in book.entries() if e.verdict == "error"]


def test_a_grader_that_fails_gives_an_error_row_that_keeps_the_text() -> None:
    made = [RawSample("p", "q0", 0, 1, {"extracted": "7", "text": "so 7", "finish_reason": "stop"})]
    with Grading("numeric") as grading:
        [entry] = graded_entries(made, {"q0": "seven"}, grading)
    assert (entry.verdict, entry.row["text"]) == ("error", "so 7")
    assert "is no number" in entry.row["error"]


def test_what_cannot_work_is_refused_before_anything_is_generated(tmp_path: Path) -> None:
    engine = Counting()
    what = make_plan((Setting((BudgetForcing(waits=1, wait="Hmm"),)),), limit=200)
    with journal(tmp_path) as book, pytest.raises(UnsupportedControl, match="cannot spell wait"):
        go(what, engine, book)
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
        ({"prompts": ()}, "at least one prompt"),
        ({"prompts": (BARE, BARE)}, "two prompts"),
        ({"grader": "kind"}, "grader must be one of"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_bad_plans(fields: dict[str, object], message: str) -> None:
    good = {
        "task": "t",
        "examples": EXAMPLES,
        "settings": grid([1], [0]),
        "prompts": (BARE,),
        "sampling": Sampling(),
        "samples": 1,
    }
    with pytest.raises(ValueError, match=message):
        Plan(**(good | {"max_new_tokens": 9, "seed": 0} | fields))  # type: ignore[arg-type]  # the mistakes


def test_a_setting_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="are the same"):
        make_plan(grid([5, 5], [0]))


def test_files_of_a_sweep(tmp_path: Path) -> None:
    engine, what = Counting(), plan()
    with journal(tmp_path) as book:
        go(what, engine, book)
        outcome = found(book)
        tables.write_csv(outcome, tmp_path / "results.csv")
        tables.write_samples(book.points, book.entries(), tmp_path / "samples.jsonl")
    plot.draw(outcome, tmp_path, "toy", "a note")
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
    assert "<svg" in (tmp_path / "curve.svg").read_text()


def test_a_setting_that_failed_altogether_is_undefined_not_zero() -> None:
    what = plan(examples=EXAMPLES[:1])
    points = what.points(EngineInfo.of(Counting(), what.prompts, ()))
    errors = [Entry(point.id, "q0", 0, 0, "error", {"error": "x"}) for point in points]
    for result in results(points, errors):
        assert result.accuracy != result.accuracy  # NaN
        assert (result.samples, result.errors) == (0, 1)


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
    what = make_plan(settings)
    expected = [settings[1], None, settings[0], settings[1], settings[1]]
    assert [baseline(setting, settings) for setting in settings] == expected
    engine = Counting()
    with journal(tmp_path) as book:
        go(what, engine, book)
        rows = found(book)
    assert [np.isnan(row.difference) for row in rows] == [False, True, False, False, False]
    assert rows[2].difference == pytest.approx(rows[2].accuracy - rows[0].accuracy)
    assert rows[2].difference_low <= rows[2].difference <= rows[2].difference_high
    assert all(row.p_adjusted >= row.p_value for row in rows if not np.isnan(row.p_value))
    plot.draw(rows, tmp_path, "toy")
    table = terminal.results_table(rows, "toy")
    assert "ThoughtSwitchPenalty(beta=2, expressions=('so',))" in str(table.caption)


def test_a_narrow_terminal_loses_no_number(tmp_path: Path) -> None:
    """Numbers were cut short where several prompts made the table wider than 80 columns."""
    with journal(tmp_path) as book:
        go(plan(examples=EXAMPLES[:10]), Counting(), book)
        rows = [replace(row, prompt=prompt) for prompt in ("step-by-step", "none") for row in found(book)]
    for width, brief in ((75, True), (120, False)):
        console = Console(width=width, file=io.StringIO())
        console.print(terminal.fitting(rows, "toy", console))
        shown = console.file.getvalue()  # type: ignore[attr-defined]  # it is a buffer
        assert "…" not in shown
        assert ("samples" in shown) != brief


def test_without_any_control_is_a_baseline_too() -> None:
    settings = (Setting(()), Setting((ThinkBudget(4),)), Setting((LoopBreaker(), ThinkBudget(4))))
    assert [baseline(setting, settings) for setting in settings] == [None, settings[0], settings[1]]
    assert settings[0].name == "no control"


def test_only_what_failed_is_generated_again(tmp_path: Path) -> None:
    what = plan(examples=EXAMPLES[:10])
    asked = list[int]()

    class Watched(Counting):
        def generate(self, requests: Sequence[Request]) -> list[Completion]:
            asked.append(len(requests))
            return super().generate(requests)

    with journal(tmp_path) as book:
        go(what, Counting(broken_seed=sample_seed(0, "q3", 0)), book)
        go(what, Watched(), book)
        assert asked == [1] * 6, "one question under six settings"
        assert book.progress.failed == 0


def test_a_failed_grade_is_graded_again_and_not_generated_again(tmp_path: Path) -> None:
    what = plan(examples=EXAMPLES[:2])
    with journal(tmp_path) as book:
        go(what, Counting(), book)
        [entry, *_] = book.entries()
        failed = entry.row | {"error": "grader: it took too long", "extracted": "7"}
        book._db.execute("DELETE FROM samples WHERE point = ? AND question = ? AND sample = ?", entry.key)
        book.write([Entry(*entry.key, entry.seed, "error", failed)])
        engine = Counting()
        go(what, engine, book)
        assert engine.calls == 0
        [again, *_] = book.entries()
        assert again.verdict == "right"
        assert "error" not in again.row


def test_a_known_answer_that_the_grader_cannot_read_is_refused_first(tmp_path: Path) -> None:
    engine, what = Counting(), replace(plan(examples=(Example("q", "Q<t>", "seven"),)), grader="numeric")
    with journal(tmp_path) as book, pytest.raises(ValueError, match="'seven' of question 'q' is no number"):
        go(what, engine, book)
    assert engine.calls == 0


@pytest.mark.parametrize("error", [KeyError("x"), MemoryError(), AssertionError("no"), TimeoutError()])
def test_whatever_an_engine_raises_is_an_error_row(tmp_path: Path, error: Exception) -> None:
    class Broken(Counting):
        def generate(self, requests: Sequence[Request]) -> list[Completion]:
            if any(request.seed == sample_seed(0, "q1", 0) for request in requests):
                raise error
            return super().generate(requests)

    with journal(tmp_path) as book:
        go(plan(examples=EXAMPLES[:3]), Broken(), book)
        assert book.progress == Progress(18, 18, 6)
        assert all(type(error).__name__ in e.row["error"] for e in book.entries() if e.verdict == "error")


def test_controls_of_one_class_are_lines_of_their_own(tmp_path: Path) -> None:
    chains = [(ThoughtSwitchPenalty(beta=b, expressions=("so",)),) for b in (2, 4)]
    engine = Counting()
    with journal(tmp_path) as book:
        go(make_plan(with_controls(grid([0, 4], [0], final="so", answer_reserve=2), chains)), engine, book)
        drawn = lines(found(book))
    assert [(len(line.points), line.label) for line in drawn] == [
        (2, "budget, no waits"),
        (2, "ThoughtSwitchPenalty(beta=2, expressions=('so',))"),
        (2, "ThoughtSwitchPenalty(beta=4, expressions=('so',))"),
    ]


def test_two_models_of_one_name_are_told_apart(tmp_path: Path) -> None:
    class Other(Counting):
        identity = "another function"

    with journal(tmp_path) as book:
        for engine in (Counting(), Other()):
            go(plan(examples=EXAMPLES[:3]), engine, book)
        rows = found(book)
    assert {row.engine for row in rows} == {"scripted a function", "scripted another function"}
    assert all(len({row.engine for row in line.points}) == 1 for line in lines(rows))
