"""How the numbers of a sweep were made: what somebody needs to cite them, or to make them again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from thinkpace.eval.runs.journal import Journal
from thinkpace.eval.runs.point import RunPoint

COMMANDS, MACHINES = "commands", "machines"  # texts in the journal


def provenance(journal: Journal) -> list[tuple[str, str]]:
    """(what, how) pairs, in the order in which they are shown."""
    points = journal.points
    rows = [*(("command", command) for command in _stored(journal, COMMANDS)), *_of_points(points)]
    rows.append(("questions", str(len(journal.questions))))
    machines = _stored(journal, MACHINES)
    rows += [("ran on", ", ".join(f"{name} {value}" for name, value in one.items())) for one in machines]
    return rows


def remember(journal: Journal, command: str, machine: Mapping[str, str]) -> None:
    """Store a command and a machine in the journal, unless they are there."""
    for name, value in ((COMMANDS, command), (MACHINES, dict(machine))):
        stored = _stored(journal, name)
        if value not in stored:
            journal.set_meta(name, json.dumps([*stored, value]))


def _stored(journal: Journal, name: str) -> list[Any]:
    found: list[Any] = json.loads(journal.get_meta(name) or "[]")
    return found


def _of_points(points: Iterable[RunPoint]) -> Iterator[tuple[str, str]]:
    seen = dict[tuple[str, str], None]()
    for point in points:
        sampling, markers = point.sampling, point.markers
        seen[("model", f"{point.engine}, digest {point.model}")] = None
        seen[("markers", f"{markers['open']!r} and {markers['close']!r}")] = None
        seen[("prompt", f"{point.prompt}, digest {point.prompt_digest}")] = None
        drawn = f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}, top-k {sampling.top_k}"
        limits = f"at most {point.max_new_tokens} new tokens; seed {point.seed}"
        seen[("sampling", f"{drawn}, min-p {sampling.min_p:g}; {limits}")] = None
        seen[("grader", f"{point.grader}; answers by the first of these rules: {', '.join(point.rules)}")] = None
        if point.replayed:
            seen[("replay", "settings take what they share from the longest one")] = None
    order = ("model", "markers", "prompt", "sampling", "grader", "replay")
    yield from sorted(seen, key=lambda row: order.index(row[0]))
