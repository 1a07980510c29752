"""Grade recorded outputs of any source: JSON Lines with `id`, `answer` and `text`."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thinkpace.eval.grading.answer_part import answer_part
from thinkpace.eval.grading.compare import known_answer
from thinkpace.eval.grading.extract import candidates, extract, rules_for
from thinkpace.eval.grading.grader import Grading
from thinkpace.eval.grading.rules import RULES
from thinkpace.processors.text.markers import Markers

FIELDS = ("id", "answer", "text")


def read(path: Path) -> list[dict[str, Any]]:
    """Read the records of a file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a line that is no JSON object or lacks a field (the message names the line), or for no records.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    rows = list[dict[str, Any]]()
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: not JSON ({error})") from None
        if not isinstance(row, dict):
            raise ValueError(f"{path}, line {number}: expected an object with {', '.join(FIELDS)}")
        for field in FIELDS:
            if field not in row:
                raise ValueError(f"{path}, line {number}: no {field}")
        if (
            isinstance(row["answer"], bool)
            or not isinstance(row["answer"], str | int | float)
            or not str(row["answer"]).strip()
        ):
            raise ValueError(f"{path}, line {number}: answer must be a text or a number, got {row['answer']!r}")
        if not isinstance(row["text"], str):
            raise ValueError(f"{path}, line {number}: text must be a text, got {row['text']!r}")
        rows.append(row)
    if not rows:
        raise ValueError(f"{path} holds no outputs")
    return rows


def graded(
    rows: Sequence[Mapping[str, Any]],
    grader: str,
    *,
    markers: Markers | None = None,
    final: str | None = None,
    rules: Sequence[str] | None = None,
    workers: int | None = None,
    timeout: float | None = None,
    explain: bool = False,
) -> list[dict[str, Any]]:
    """Add `verdict`, `extracted` and `rule` to records, and `error` where the grader failed.

    Args:
        rows: with `answer` and `text`; `finish_reason` "length" marks a text without an answer as truncated.
        grader: one of `grading.grader.GRADER_NAMES`.
        markers: of thinking; `<think>` and `</think>` by default.
        final: a text that a control wrote into the answer parts; the answer is what follows its last occurrence.
        rules: where answers are looked for, in order. Default: `rules_for(grader)`.
        workers, timeout: of the math grader, as in `MathGrader`.
        explain: whether to add `found`: what each rule finds, the likeliest first.

    Raises:
        ValueError: for an unknown grader.
        MissingExtra: for "math" if its libraries are not installed.
    """
    tags = markers or Markers("<think>", "</think>")
    out, pairs = list[dict[str, Any]](), list[tuple[int, str, str]]()
    for place, row in enumerate(rows):
        answer = answer_part(row["text"], tags.open, tags.close, tags.opened_by_prompt)
        written = answer.rpartition(final)[2] if answer and final and final in answer else None
        found = None if answer is None else extract(answer, written, rules or (), grader=grader)
        cut = answer is None or row.get("finish_reason") == "length"
        verdict = "truncated" if cut else "no_answer"
        extracted, rule = found or (None, None)
        out.append({**row, "verdict": verdict, "extracted": extracted, "rule": rule})
        if explain:
            tried = rules or rules_for(grader)
            out[-1]["found"] = {name: candidates(answer or "", written, name) for name in tried}
        if found is not None:
            pairs.append((place, found.answer, known_answer(str(row["answer"]))))
    with Grading(grader, workers, timeout) as grading:
        verdicts = grading.all([(extracted, answer) for _, extracted, answer in pairs])
    for (place, _, _), same in zip(pairs, verdicts, strict=True):
        if isinstance(same, bool):
            out[place]["verdict"] = "right" if same else "wrong"
        else:
            out[place] |= {"verdict": "error", "error": str(same)}
    return out


def write(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write records as JSON Lines, atomically: all or none."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    partial.replace(path)


def by_rule(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """By rule, in the order of `RULES`: the number of answers that it found, and how many of them are right."""
    found, right = (
        Counter(row["rule"] for row in rows if ok(row)) for ok in (bool, lambda row: row["verdict"] == "right")
    )
    return {rule: (found[rule], right[rule]) for rule in RULES if found[rule]}


def counts(rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Number of records by verdict."""
    return Counter(row["verdict"] for row in rows)
