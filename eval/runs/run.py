"""Run a plan: do what the journal does not hold yet."""

from __future__ import annotations

from collections.abc import Callable

from thinkpace.engine import Engine
from thinkpace.errors import UnsupportedControl
from thinkpace.eval.executors.local import Executor, WorkerDied
from thinkpace.eval.grading.grader import Grading
from thinkpace.eval.runs.claim import claimed_units, missing_keys
from thinkpace.eval.runs.journal import Journal
from thinkpace.eval.runs.judge import graded_entries
from thinkpace.eval.runs.plan import EngineInfo, Plan
from thinkpace.eval.runs.unit import RawSample, WorkUnit, failed_samples, run_unit
from thinkpace.processors.core.program import compile_program


def run(
    plan: Plan,
    executor: Executor,
    journal: Journal,
    card: EngineInfo,
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
        again = [
            RawSample(*entry.key, entry.seed, entry.row) for entry in journal.ungraded() if entry.question in known
        ]
        journal.write(graded_entries(again, known, grading))
        left = [*plan.units(card)]
        while left:
            busy, done = list[WorkUnit](), 0
            for unit, result in executor.map(run_unit, claimed_units(left, journal, busy, progress)):
                made = failed_samples(unit, result) if isinstance(result, WorkerDied) else result
                missing = missing_keys(unit, journal)
                journal.write(entry for entry in graded_entries(made, known, grading) if entry.key in missing)
                journal.release(unit.number)
                progress(len(missing))
                done += 1
            left = busy  # another process is at these: what it leaves undone is done here
            if left and not done:
                journal.claim(left[0].number, wait=True)


def check(engine: Engine, plan: Plan) -> None:
    """Refuse what cannot work.

    Raises:
        UnsupportedControl: if a control cannot.
    """
    if plan.replay and not engine.can_continue:
        raise UnsupportedControl(f"{engine.name} cannot go on from output that is there: sweep on it without --replay")
    for setting in plan.settings:
        compile_program(
            setting.controls,
            engine.vocabulary,
            engine.markers,
            max_new_tokens=plan.max_new_tokens,
            context_tokens=engine.context_tokens,
        )
