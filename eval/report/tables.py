"""The tables of a sweep: results, ledger, times and samples."""

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

TIMES = ("seconds", "first_answer_s")  # fields of a sample that differ between runs, so only times.csv has them


def write_table(rows: Sequence[Any], kind: type, path: Path) -> None:
    """Write rows of one dataclass as CSV; None becomes empty, an undefined number `nan`."""
    with replacing(path) as new, new.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(kind)])
        for row in rows:
            writer.writerow([cell(value) for value in astuple(row)])


def cell(value: Any) -> Any:
    """A value as the tables show it: None is empty, floats have 6 significant digits."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value


def write_csv(results: Sequence[Result], path: Path) -> None:
    """Write `results.csv`: one row per point of the grid; `max_tokens` is empty for no limit."""
    write_table(results, Result, path)


@dataclass(frozen=True, slots=True)
class Ledger:
    """One row of `ledger.csv`: token counts of a point by kind, summed over its samples.

    Args:
        engine, prompt, controls: of the point.
        samples: number of generated samples.
        prompt_tokens: tokens of the prompts.
        thinking: output tokens drawn inside thinking.
        injected: output tokens written for the model, including the close and the final text.
        marker: marker tokens that the model wrote itself.
        answer: all other output tokens.
        output: sum of these four, as the engine counts it.
        probe: tokens generated in trials and thrown away.
        verifier, discarded: tokens of verifiers, and of generations thrown away as a whole; 0 for controls.
        shared: output tokens taken from another run.
        generated: output + probe - shared: the tokens that had to be generated.
        reread: tokens of prompts and outputs that were read again for trials and for shared prefixes.
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
    """One row per point that has generated samples; samples whose generation failed have no tokens."""
    return [_ledger(point, rows) for point, rows in _generated(points, entries)]


def _generated(points: Sequence[RunPoint], entries: Iterable[Entry]) -> list[tuple[RunPoint, list[dict[str, Any]]]]:
    """The generated samples of every point, graded or not; points without any are left out."""
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
        engine, prompt, controls: of the point.
        seconds: wall time of its samples; the time of a batch is divided evenly among them.
        tokens_per_second: generated tokens per second, trials included, shared tokens excluded.
        first_answer_s: seconds from the start of a batch to the first answer token, mean over samples; NaN where the
            engine does not report it.
    """

    engine: str
    prompt: str
    controls: str
    seconds: float
    tokens_per_second: float
    first_answer_s: float


def times(points: Sequence[RunPoint], entries: Iterable[Entry]) -> list[Times]:
    """One row per point that has generated samples."""
    out = []
    for point, rows in _generated(points, entries):
        seconds = math.fsum(row["seconds"] for row in rows)
        generated = sum(completion_tokens(row["usage"]) + row["usage"].get("probe", 0) - row["shared"] for row in rows)
        first = [row["first_answer_s"] for row in rows if row["first_answer_s"] is not None]
        speed = generated / seconds if seconds else math.nan
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
    """Write `samples.jsonl`: one JSON object per sample, with the prompt as the model got it."""
    with replacing(path) as new, new.open("w", encoding="utf-8") as file:
        for row in sample_rows(points, entries):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def sample_rows(points: Sequence[RunPoint], entries: Iterable[Entry]) -> Iterator[dict[str, Any]]:
    """Samples as flat JSON objects, without times."""
    by_id = {point.id: point for point in points}
    for entry in entries:
        point = by_id[entry.point]
        data = {name: value for name, value in entry.row.items() if name not in TIMES}
        yield {
            "task": point.task,
            "engine": point.engine,
            "prompt": point.prompt,
            "setting": point.setting.name,
            "id": entry.question,
            "sample": entry.sample,
            "seed": entry.seed,
            "verdict": entry.verdict,
        } | data


def result_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Results as objects, with the values of `results.csv`."""
    return [{name: cell(value) for name, value in asdict(result).items()} for result in results]
