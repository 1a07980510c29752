"""The tables that a sweep leaves behind: results, ledger, times and samples."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

from thinkpace.eval.report.atomic import replacing
from thinkpace.eval.runs.journal import Entry
from thinkpace.eval.runs.point import RunPoint
from thinkpace.eval.stats.results import Result, completion_tokens, mean

TIMES = ("seconds", "first_answer_s")  # of a sample; in no table but times.csv, since they differ from run to run


def write_table(rows: Sequence[Any], kind: type, path: Path) -> None:
    """Rows of one dataclass as CSV; None is empty, an undefined number is `nan`."""
    with replacing(path) as new, new.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(kind)])
        for row in rows:
            writer.writerow([cell(value) for value in astuple(row)])


def cell(value: Any) -> Any:
    """A value as the tables have it."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value


def write_csv(results: Sequence[Result], path: Path) -> None:
    """`results.csv`: one row per point of the grid; `max_tokens` is empty for no limit."""
    write_table(results, Result, path)


@dataclass(frozen=True, slots=True)
class Ledger:
    """One row of `ledger.csv`: where the tokens of a point went, summed over its samples.

    Args:
        engine, prompt, controls: which point.
        samples: that were generated.
        prompt_tokens: of the prompts.
        thinking, injected, marker, answer: of the output: drawn inside thinking; written for the model, the close and
            the final text included; markers that it wrote; everything else.
        output: their sum, which is the engine's own count.
        probe: generated in trials and thrown away.
        verifier, discarded: of verifiers, and of generations that were thrown away whole: 0 for controls.
        shared: of the output, taken from another run.
        generated: output and probe less what was shared: what was paid for.
        reread: of prompts and outputs, read again for trials and for what was shared.
    """

    engine: str
    prompt: str
    controls: str
    samples: int
    prompt_tokens: int
    thinking: int
    injected: int
    marker: int
    answer: int
    output: int
    probe: int
    verifier: int
    discarded: int
    shared: int
    generated: int
    reread: int


def ledger(points: Sequence[RunPoint], entries: Iterable[Entry]) -> list[Ledger]:
    """One row per point that has samples; samples that could not be generated hold no tokens."""
    return [_ledger(point, rows) for point, rows in _generated(points, entries)]


def _generated(points: Sequence[RunPoint], entries: Iterable[Entry]) -> list[tuple[RunPoint, list[dict[str, Any]]]]:
    """The rows of every point whose samples were generated, whatever became of their grading."""
    by_point: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        if "usage" in entry.row:
            by_point.setdefault(entry.point, []).append(entry.row)
    return [(point, by_point[point.id]) for point in points if point.id in by_point]


def _ledger(point: RunPoint, rows: Sequence[dict[str, Any]]) -> Ledger:
    def total(kind: str) -> int:
        return sum(row["usage"].get(kind, 0) for row in rows)

    output = sum(completion_tokens(row["usage"]) for row in rows)
    shared = sum(row["shared"] for row in rows)
    return Ledger(
        engine=point.engine,
        prompt=point.prompt,
        controls=point.setting.name,
        samples=len(rows),
        prompt_tokens=total("prompt"),
        thinking=total("thinking"),
        injected=total("forced"),
        marker=total("marker"),
        answer=total("answer"),
        output=output,
        probe=total("probe"),
        verifier=total("verifier"),
        discarded=total("discarded"),
        shared=shared,
        generated=output + total("probe") - shared,
        reread=total("reread"),
    )


@dataclass(frozen=True, slots=True)
class Times:
    """One row of `times.csv`: how long a point took on the machine it ran on.

    Args:
        engine, prompt, controls: which point.
        seconds: wall time of its samples, of batches divided evenly.
        tokens_per_second: generated ones.
        first_answer_s: from the start of a batch to the first token of an answer, the mean over samples; NaN where the
            engine does not tell.
    """

    engine: str
    prompt: str
    controls: str
    seconds: float
    tokens_per_second: float
    first_answer_s: float


def times(points: Sequence[RunPoint], entries: Iterable[Entry]) -> list[Times]:
    """One row per point that has samples."""
    out = []
    for point, rows in _generated(points, entries):
        seconds = math.fsum(row["seconds"] for row in rows)
        made = sum(completion_tokens(row["usage"]) + row["usage"].get("probe", 0) - row["shared"] for row in rows)
        first = [row["first_answer_s"] for row in rows if row["first_answer_s"] is not None]
        speed = made / seconds if seconds else math.nan
        out.append(
            Times(
                engine=point.engine,
                prompt=point.prompt,
                controls=point.setting.name,
                seconds=seconds,
                tokens_per_second=speed,
                first_answer_s=mean(first),
            )
        )
    return out


def write_samples(points: Sequence[RunPoint], entries: Iterable[Entry], path: Path) -> None:
    """`samples.jsonl`: one JSON object per sample, with the question as it was asked."""
    with replacing(path) as new, new.open("w", encoding="utf-8") as file:
        for row in sample_rows(points, entries):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def sample_rows(points: Sequence[RunPoint], entries: Iterable[Entry]) -> Iterator[dict[str, Any]]:
    """Samples as flat objects."""
    by_id = {point.id: point for point in points}
    for entry in entries:
        point = by_id[entry.point]
        known = {name: value for name, value in entry.row.items() if name not in TIMES}
        yield {
            "task": point.task,
            "engine": point.engine,
            "prompt": point.prompt,
            "setting": point.setting.name,
            "id": entry.question,
            "sample": entry.sample,
            "seed": entry.seed,
            "verdict": entry.verdict,
        } | known


def result_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Results as they stand in `results.csv`."""
    return [{name: cell(value) for name, value in asdict(result).items()} for result in results]
