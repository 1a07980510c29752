"""Which units of a plan are to be done here, and how much of each is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from thinkpace.eval.runs.journal import Journal
from thinkpace.eval.runs.unit import Trace, WorkUnit
from thinkpace.types import Event


def claimed_units(
    units: Sequence[WorkUnit], journal: Journal, busy: list[WorkUnit], progress: Callable[[int], None]
) -> Iterator[WorkUnit]:
    """The units that are to be done here, each as far as it is missing; those of other processes go to `busy`."""
    for unit in units:
        if not journal.claim(unit.number):
            busy.append(unit)
            continue
        wanted = missing_keys(unit, journal)
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


def missing_keys(unit: WorkUnit, journal: Journal) -> set[tuple[str, str, int]]:
    """The samples of a unit that the journal does not hold."""
    done = journal.done([job.point for job in unit.jobs], unit.sample)
    keys = {(job.point, example.id, unit.sample) for job in unit.jobs for example in unit.examples}
    return keys - done


def _traces(unit: WorkUnit, journal: Journal) -> dict[str, Trace]:
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
