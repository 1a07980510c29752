"""Export samples and results in the formats of other tools."""

from __future__ import annotations

import hashlib
import json
import math
import re
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from thinkpace.errors import MissingExtra
from thinkpace.eval.report.atomic import replacing
from thinkpace.eval.report.tables import sample_rows, write_samples
from thinkpace.eval.runs.journal import Entry, Journal
from thinkpace.eval.runs.point import RunPoint
from thinkpace.eval.stats.effective import Rights
from thinkpace.eval.stats.results import completion_tokens, results, rights_of
from thinkpace.version import __version__


def to_jsonl(journal: Journal, folder: Path) -> list[Path]:
    """Write `samples.jsonl`."""
    path = folder / "samples.jsonl"
    write_samples(journal.points, journal.entries(), path)
    return [path]


def to_parquet(journal: Journal, folder: Path) -> list[Path]:
    """Write `samples.parquet`: the rows of `samples.jsonl`, with nested fields as nested types.

    Raises:
        MissingExtra: without pyarrow.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtra("writing Parquet", "data") from error
    rows = [*sample_rows(journal.points, journal.entries())]
    names = list(dict.fromkeys(name for row in rows for name in row))
    for row in rows:
        if "pieces" in row:
            row["pieces"] = [{"kind": kind, "text": text} for kind, text in row["pieces"]]
    # give every row every field: error rows have fewer
    table = pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows])
    path = folder / "samples.parquet"
    with replacing(path) as new:
        parquet.write_table(table, new)
    return [path]


def to_lm_eval(journal: Journal, folder: Path) -> list[Path]:
    """Write `results_*.json` and `samples_*.jsonl` of every point, as lm-evaluation-harness 0.4 does.

    A failed sample has no metric, and neither count includes it.
    """
    entries, questions = [*journal.entries()], journal.questions
    with_samples = {entry.point for entry in entries}
    points = [point for point in journal.points if point.id in with_samples]
    numbers = {name: number for number, name in enumerate(questions)}
    out = []
    for place, (point, result) in enumerate(zip(points, results(points, entries), strict=True), 1):
        of_point = [entry for entry in entries if entry.point == point.id]
        stem = f"{re.sub(r'[^0-9A-Za-z.+-]+', '__', point.task)}_{place:03d}_{point.id}"
        error = _standard_error(rights_of(of_point))
        summary = {
            "results": {
                point.task: {
                    "alias": point.task,
                    "exact_match,none": _known(result.accuracy),
                    "exact_match_stderr,none": _known(error),
                    "thinking_tokens,none": _known(result.thinking_tokens_mean),
                    "truncated,none": result.truncated,
                }
            },
            "configs": {point.task: {"task": point.task, "output_type": "generate_until", "repeats": result.n}},
            "config": {"model": "thinkpace", "model_args": point.to_json(), "random_seed": point.seed},
            "n-samples": {point.task: {"original": len(questions), "effective": result.questions}},
            "thinkpace_version": __version__,
        }
        path = folder / f"results_{stem}.json"
        with replacing(path) as new:
            new.write_text(json.dumps(summary, indent=2, ensure_ascii=False), encoding="utf-8")
        samples = folder / f"samples_{stem}.jsonl"
        with replacing(samples) as new, new.open("w", encoding="utf-8") as file:
            for entry in of_point:
                row = _lm_eval_sample(entry, point, numbers[entry.question], *questions[entry.question])
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        out += [path, samples]
    return out


def _standard_error(per_question: Rights) -> float:
    """Standard error of the mean over questions, as the harness computes it: sample deviation / sqrt(questions)."""
    means = [sum(right) / len(right) for right in per_question.values()]
    return statistics.stdev(means) / math.sqrt(len(means)) if len(means) > 1 else math.nan


def _known(number: float) -> float | None:
    """A number for JSON, which has no NaN: None in its place."""
    return None if math.isnan(number) else number


def _lm_eval_sample(entry: Entry, point: RunPoint, number: int, question: str, answer: str) -> dict[str, Any]:
    document = {"id": entry.question, "question": question, "answer": answer}
    text = entry.row.get("text", "")
    metrics = {} if entry.verdict == "error" else {"exact_match": float(entry.verdict == "right")}
    return {
        "doc_id": number,
        "doc": document,
        "target": answer,
        "arguments": {"gen_args_0": {"arg_0": question, "arg_1": {"temperature": point.sampling.temperature}}},
        "resps": [[text]],
        "filtered_resps": [entry.row.get("extracted") or ""],
        "filter": "none",
        "metrics": list(metrics),
        "doc_hash": hashlib.sha256(json.dumps(document, indent=2, ensure_ascii=False).encode()).hexdigest(),
        "target_hash": hashlib.sha256(answer.encode()).hexdigest(),
        # fields that the harness does not know and drops
        "verdict": entry.verdict,
        "thinking": _thinking(entry),
        "thinking_tokens": entry.row.get("thinking_tokens"),
        "usage": entry.row.get("usage"),
    } | metrics


def _thinking(entry: Entry) -> str:
    return "".join(text for kind, text in entry.row.get("pieces", ()) if kind in ("thinking", "injected"))


def to_every_eval_ever(journal: Journal, folder: Path) -> list[Path]:
    """Write `every_eval_ever.jsonl`: one instance per line, in Every Eval Ever's instance-level schema.

    Failed samples are left out: the schema requires a score for every instance, and a failure has none.
    https://github.com/evaleval/every_eval_ever, `instance_level_eval.schema.json`, 0.2.2.
    """
    points, questions = {point.id: point for point in journal.points}, journal.questions
    path = folder / "every_eval_ever.jsonl"
    with replacing(path) as new, new.open("w", encoding="utf-8") as file:
        for entry in journal.entries():
            if entry.verdict == "error":
                continue
            row = _instance(entry, points[entry.point], *questions[entry.question])
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return [path]


def _instance(entry: Entry, point: RunPoint, question: str, answer: str) -> dict[str, Any]:
    row = entry.row
    usage = row["usage"]
    return {
        "schema_version": "0.2.2",
        "evaluation_id": f"{point.task}/{point.id}",
        "model_id": point.engine,
        "evaluation_name": point.task,
        "sample_id": f"{entry.question}#{entry.sample}",
        "sample_hash": hashlib.sha256((question + answer).encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": {"raw": question, "reference": [answer]},
        "output": {"raw": [row["answer"]], "reasoning_trace": [_thinking(entry)]},
        "answer_attribution": [
            {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": row.get("extracted") or "",
                "extraction_method": ", ".join(point.rules),
                "is_terminal": True,
            }
        ],
        "token_usage": {
            "input_tokens": usage["prompt"],
            "output_tokens": completion_tokens(usage),
            "total_tokens": usage["prompt"] + completion_tokens(usage),
            "reasoning_tokens": row["thinking_tokens"],
        },
        "performance": {"latency_ms": round(1000 * row["seconds"], 3)},
        "metadata": {"controls": point.setting.name, "prompt": point.prompt, "verdict": entry.verdict},
        "evaluation": {"score": float(entry.verdict == "right"), "is_correct": entry.verdict == "right"},
    }


#: name of the format -> function that writes it and returns the files
FORMATS: Mapping[str, Callable[[Journal, Path], list[Path]]] = {
    "jsonl": to_jsonl,
    "parquet": to_parquet,
    "lm-eval": to_lm_eval,
    "every-eval-ever": to_every_eval_ever,
}
