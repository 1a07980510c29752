"""Claim the units of a plan for this process, reduced to the samples that the journal lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from thinkpace.eval.runs.journal import Journal
from thinkpace.eval.runs.unit import Trace, WorkUnit
from thinkpace.types import Event


def claimed_units(
    units: Sequence[WorkUnit], journal: Journal, busy: list[WorkUnit], progress: Callable[[int], None]
) -> Iterator[WorkUnit]:
    """Claim units and yield what is missing of each; units that other processes hold are appended to `busy`."""
    for unit in units:
        if not journal.claim(unit.number):
            busy.append(unit)
            continue
        wanted = missing_keys(unit, journal)
        # units are written whole, so a resumed run generates the same batches as an uninterrupted one
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
    """The keys of a unit's samples that the journal does not hold."""
    done = journal.done([job.point for job in unit.jobs], unit.sample)
    keys = {(job.point, example.id, unit.sample) for job in unit.jobs for example in unit.examples}
    return keys - done


def _traces(unit: WorkUnit, journal: Journal) -> dict[str, Trace]:
    """Tokens and events of the finished samples of a unit's first setting, by question."""
    questions = {example.id for example in unit.examples}
    return {
        entry.question: (
            tuple(entry.row["tokens"]),
            tuple(Event(**event | {"tokens": tuple(event["tokens"])}) for event in entry.row["events"]),
        )
        for entry in journal.of(unit.jobs[0].point, unit.sample)
        if entry.question in questions and "tokens" in entry.row
    }
