"""Run a plan: generate and grade the samples that its journal lacks."""

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
from thinkpace.eval.runs.unit import RawSample, WorkUnit, check_prefill, failed_samples, run_unit
from thinkpace.processors.core.program import compile_program


def run(
    plan: Plan,
    executor: Executor,
    journal: Journal,
    card: EngineInfo,
    progress: Callable[[int], None] = lambda _: None,
    started: Callable[[], None] = lambda: None,
    workers: int | None = None,
    timeout: float | None = None,
) -> None:
    """Generate and grade the samples that the journal lacks.

    Args:
        plan: what to generate.
        executor: runs the work on its engines.
        journal: of this plan, or of a smaller plan that this one extends.
        card: description of the engine.
        progress: called with the number of samples that were finished or found in the journal since the last call.
        started: called before anything is generated, once the journal is known to belong to this run.
        workers, timeout: of the math grader, as in `MathGrader`.

    Raises:
        UnsupportedControl: before anything is generated, if a control cannot work with this engine.
        ValueError: if the journal belongs to another run.
        OSError: if the journal cannot be written.
    """
    executor.call(check, plan)
    questions = [(example.id, example.question, example.answer) for example in plan.examples]
    answers = {example.id: example.answer for example in plan.examples}
    with Grading(plan.grader, workers, timeout) as grading:
        grading.check(answers)
        journal.begin(plan.common, plan.points(card), questions, plan.samples)
        started()
        # samples whose grading failed are graded again, not generated again
        again = [
            RawSample(*entry.key, entry.seed, entry.row) for entry in journal.ungraded() if entry.question in answers
        ]
        journal.write(graded_entries(again, answers, grading))
        left = [*plan.units(card)]
        while left:
            busy, done = list[WorkUnit](), 0
            for unit, result in executor.map(run_unit, claimed_units(left, journal, busy, progress)):
                samples = failed_samples(unit, result) if isinstance(result, WorkerDied) else result
                missing = missing_keys(unit, journal)
                journal.write(entry for entry in graded_entries(samples, answers, grading) if entry.key in missing)
                journal.release(unit.number)
                progress(len(missing))
                done += 1
            left = busy  # other processes hold these units; this one does what they leave undone
            if left and not done:
                journal.claim(left[0].number, wait=True)


def check(engine: Engine, plan: Plan) -> None:
    """Check that an engine can run a plan.

    Raises:
        UnsupportedControl: if a control cannot work, or if the plan replays and the engine cannot continue an output.
    """
    if plan.replay and not engine.can_continue:
        raise UnsupportedControl(f"{engine.name} cannot continue given output: sweep on it without --replay")
    for setting in plan.settings:
        for prompt in plan.prompts:
            check_prefill(engine, prompt, plan.examples[0].question, setting.controls)
        compile_program(
            setting.controls,
            engine.vocabulary,
            engine.markers,
            max_new_tokens=plan.max_new_tokens,
            context_tokens=engine.context_tokens,
            takes_back=engine.takes_back,
        )
