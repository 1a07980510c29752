"""Questions with known answers, from files of any usual form."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from thinkpace.errors import MissingExtra
from thinkpace.eval.grading.compare import known_answer
from thinkpace.eval.task import Example

QUESTION = ("question", "problem", "input", "inputs", "prompt")


ANSWER = ("answer", "target", "targets", "expected_answer", "final_answer")


SCORES = "target_scores"


ID = ("id", "unique_id", "doc_id")


FORMS = (".jsonl", ".json", ".csv", ".parquet")


def load(path: Path) -> list[Example]:
    """Examples from a file: JSON lines, JSON (a list, or an object with `examples`), CSV with a head, or Parquet.

    The question is the field `question`, else `problem`, `input` or `prompt`; the answer `answer`, else `target`,
    `expected_answer` or `final_answer`, of which a worked solution's `####` or last line "A:" is taken, or else the
    choice that `target_scores` (BIG-bench) gives 1; the id `id`, else `unique_id` or `doc_id`, else the number of the
    line or row.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for another form, and for a row that lacks a field or repeats an id; names the row.
        MissingExtra: for Parquet without pyarrow.
    """
    if path.suffix not in FORMS:
        raise ValueError(f"a task file is one of {', '.join(FORMS)}, got {str(path)!r}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no task file {path}")
    return examples_of(_parquet(path) if path.suffix == ".parquet" else _rows(path), str(path))


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Every row with where it stands."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text ({error.reason} at byte {error.start})") from None
    if path.suffix == ".csv":
        reader = csv.DictReader(io.StringIO(text, newline=""))
        try:
            yield from ((f"line {reader.line_num}", row) for row in reader)
        except csv.Error as error:
            raise ValueError(f"{path}, line {reader.line_num}: not CSV ({error})") from None
    elif path.suffix == ".json":
        try:
            found = json.loads(text)
            json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is JSON, but no text
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: not JSON ({error})") from None
        rows = found.get("examples") if isinstance(found, dict) else found
        if not isinstance(rows, list):
            raise ValueError(f"{path}: expected a list, or an object with examples")
        yield from ((f"row {number}", row) for number, row in enumerate(rows, 1))
    else:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                try:
                    row = json.loads(line)
                    json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair is JSON, but no text
                except (ValueError, RecursionError) as error:
                    raise ValueError(f"{path}, line {number}: not JSON ({error})") from None
                yield f"line {number}", row


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtra("reading Parquet", "data") from error
    yield from ((f"row {number}", row) for number, row in enumerate(parquet.read_table(path).to_pylist(), 1))


def examples_of(rows: Iterable[tuple[str, Any]], source: str) -> list[Example]:
    """Examples from rows, each with where it stands.

    Raises:
        ValueError: as in `load`.
    """
    out: dict[str, Example] = {}
    for place, row in rows:
        where = f"{source}, {place}"
        if not isinstance(row, Mapping):
            raise ValueError(f"{where}: expected an object with question and answer")
        name = _field(row, ID)
        if name is None or name == "" or name != name:
            name = place
        if isinstance(name, bool) or not isinstance(name, str | int | float):
            raise ValueError(f"{where}: the id must be a text or a number, got {name!r}")
        if _field(row, ANSWER) is None and isinstance(row.get(SCORES), Mapping):
            answer = _scored(row[SCORES], where)
        else:
            answer = known_answer(_text(row, ANSWER, where))
        if not answer:
            raise ValueError(f"{where}: no answer")
        example = Example(str(name), _text(row, QUESTION, where), answer)
        if example.id in out:
            raise ValueError(f"{where}: the id {example.id!r} was used before")
        out[example.id] = example
    if not out:
        raise ValueError(f"{source} holds no questions")
    return list(out.values())


def _scored(scores: Mapping[str, Any], where: str) -> str:
    """The choice that has the score 1 (BIG-bench)."""
    right = [text for text, score in scores.items() if score == 1]
    if len(right) != 1:
        raise ValueError(f"{where}: {SCORES} gives 1 to {len(right)} choices, and must to one")
    return right[0].strip()


def _field(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _text(row: Mapping[str, Any], names: tuple[str, ...], where: str) -> str:
    value = _field(row, names)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a table without whole numbers holds 27 as 27.0
    finite = not isinstance(value, float) or math.isfinite(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip() or not finite:
        raise ValueError(f"{where}: no {names[0]}")
    return str(value)
