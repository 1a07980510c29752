"""Sweeps: a grid of controls over the questions of a task, journalled as it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

from thinkpace.errors import UnsupportedControl
from thinkpace.eval.executors import Executor, WorkerDied
from thinkpace.eval.grading import Grading
from thinkpace.eval.journal import Entry, Journal
from thinkpace.eval.plan import Card, Plan
from thinkpace.eval.unit import Made, Trace, Unit, lost, make
from thinkpace.processors.program import compile_program
from thinkpace.processors.request import Engine
from thinkpace.types import Event

Verdict = Literal["right", "wrong", "truncated", "no_answer", "error"]


def run(
    plan: Plan,
    executor: Executor,
    journal: Journal,
    card: Card,
    progress: Callable[[int], None] = lambda _: None,
    begun: Callable[[], None] = lambda: None,
    workers: int | None = None,
    timeout: float | None = None,
) -> None:
    """Do what the journal does not hold yet.

    Args:
        plan: what to do.
        executor: where it is done.
        journal: of this plan, or of a smaller one that this extends.
        card: of the engine.
        progress: called with the number of samples that have become available since the last call.
        begun: called when the journal is known to be of this run, before anything is generated.
        workers, timeout: of the math grader, as in `MathGrader`.

    Raises:
        UnsupportedControl: before anything is generated, if a control cannot work with this engine.
        ValueError: if the journal is of another run.
        OSError: if the journal cannot be written.
    """
    executor.call(check, plan)
    asked = [(example.id, example.question, example.answer) for example in plan.examples]
    known = {example.id: example.answer for example in plan.examples}
    with Grading(plan.grader, workers, timeout) as grading:
        grading.check(known)
        journal.begin(plan.common, plan.points(card), asked, plan.samples)
        begun()
        # what was generated is graded again, not generated again
        again = [Made(*entry.key, entry.seed, entry.row) for entry in journal.ungraded() if entry.question in known]
        journal.write(judged(again, known, grading))
        left = [*plan.units(card)]
        while left:
            busy, done = list[Unit](), 0
            for unit, result in executor.map(make, _claimed(left, journal, busy, progress)):
                made = lost(unit, result) if isinstance(result, WorkerDied) else result
                missing = _missing(unit, journal)
                journal.write(entry for entry in judged(made, known, grading) if entry.key in missing)
                journal.release(unit.number)
                progress(len(missing))
                done += 1
            left = busy  # another process is at these: what it leaves undone is done here
            if left and not done:
                journal.claim(left[0].number, wait=True)


def _claimed(
    units: Sequence[Unit], journal: Journal, busy: list[Unit], progress: Callable[[int], None]
) -> Iterator[Unit]:
    """The units that are to be done here, each as far as it is missing; those of other processes go to `busy`."""
    for unit in units:
        if not journal.claim(unit.number):
            busy.append(unit)
            continue
        wanted = _missing(unit, journal)
        # a unit is written whole: what an interrupted run left is done in the batches of an uninterrupted one
        examples = tuple(example for example in unit.examples if any(key[1] == example.id for key in wanted))
        jobs = [job for job in unit.jobs if any(key[0] == job.point for key in wanted)]
        progress(len(unit.jobs) * len(unit.examples) - len(wanted))
        if not jobs:
            journal.release(unit.number)
            continue
        if unit.replayed:
            unit = replace(unit, known=_traces(unit, journal))
            jobs = [unit.jobs[0], *(job for job in jobs if job is not unit.jobs[0])]
        yield replace(unit, jobs=tuple(jobs), examples=examples)


def _missing(unit: Unit, journal: Journal) -> set[tuple[str, str, int]]:
    done = journal.done([job.point for job in unit.jobs], unit.sample)
    keys = {(job.point, example.id, unit.sample) for job in unit.jobs for example in unit.examples}
    return keys - done


def _traces(unit: Unit, journal: Journal) -> dict[str, Trace]:
    """What the first setting of a unit gave."""
    asked = {example.id for example in unit.examples}
    return {
        entry.question: (
            tuple(entry.row["tokens"]),
            tuple(Event(**event | {"tokens": tuple(event["tokens"])}) for event in entry.row["events"]),
        )
        for entry in journal.of(unit.jobs[0].point, unit.sample)
        if entry.question in asked and "tokens" in entry.row
    }


def check(engine: Engine, plan: Plan) -> None:
    """Refuse what cannot work.

    Raises:
        UnsupportedControl: if a control cannot.
    """
    if plan.replay and not engine.goes_on:
        raise UnsupportedControl(f"{engine.name} cannot go on from output that is there: sweep on it without --replay")
    for setting in plan.settings:
        compile_program(
            setting.controls,
            engine.vocabulary,
            engine.markers,
            max_new_tokens=plan.max_new_tokens,
            context_tokens=engine.context_tokens,
        )


def judged(made: Sequence[Made], known: dict[str, str], grading: Grading) -> Iterator[Entry]:
    """Samples with their verdicts.

    "truncated" means that the token limit came before an answer did; thinking that never closed is not graded on its
    thoughts. A grader that fails gives an error, and what was generated is kept beside it.
    """
    answered = [one for one in made if one.row.get("extracted") is not None]
    found = iter(grading.all([(one.row["extracted"], known[one.question]) for one in answered]))
    for point, question, sample, seed, row in made:
        verdict: Verdict
        row = {name: value for name, value in row.items() if name != "error" or "tokens" not in row}
        if "error" in row:
            verdict = "error"
        elif row["extracted"] is None:
            verdict = "truncated" if row["finish_reason"] == "length" else "no_answer"
        else:
            same = next(found)
            verdict = "error" if isinstance(same, Exception) else "right" if same else "wrong"
            row = row | ({"error": f"grader: {same}"} if isinstance(same, Exception) else {})
        yield Entry(point, question, sample, seed, verdict, row | {"expected": known[question]})
