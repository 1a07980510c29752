"""Load questions with known answers from JSON Lines, JSON, CSV and Parquet files."""

from __future__ import annotations

import csv
import io
import json
import math
import re
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
    """Load examples from JSON Lines, JSON (a list, or an object with `examples`), CSV with a header, or Parquet.

    Each part of an example comes from the first field that a row has:

    * question: `question`, `problem`, `input`, `inputs` or `prompt`.
    * answer: `answer`, `target`, `targets`, `expected_answer` or `final_answer`; of a worked solution, what follows
      `####` or stands on a last line "A:". Without such a field: the choice that `target_scores` (BIG-bench) gives 1.
    * id: `id`, `unique_id` or `doc_id`, else the number of the line or row.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for another file type, and for a row that lacks a field or repeats an id; names the row.
        MissingExtra: for Parquet without pyarrow.
    """
    if path.suffix not in FORMS:
        raise ValueError(f"a task file is one of {', '.join(FORMS)}, got {str(path)!r}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no task file {path}")
    return examples_of(_parquet(path) if path.suffix == ".parquet" else _rows(path), str(path))


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    """(position, row) of every row of a text file."""
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
            data = json.loads(text)
            json.dumps(data, ensure_ascii=False).encode()  # half a surrogate pair is valid JSON, but not valid text
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: not JSON ({error})") from None
        rows = data.get("examples") if isinstance(data, dict) else data
        if not isinstance(rows, list):
            raise ValueError(f"{path}: expected a list, or an object with examples")
        yield from ((f"row {number}", row) for number, row in enumerate(rows, 1))
    else:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                try:
                    row = json.loads(line)
                    json.dumps(row, ensure_ascii=False).encode()  # likewise
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
    """Examples from rows.

    Args:
        rows: (position, row) pairs.
        source: name of the file or data set, for errors.

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
        elif isinstance(row.get("choices"), list) and isinstance(_field(row, ANSWER), int):
            raise ValueError(
                f"{where}: the answer {_field(row, ANSWER)} is a place in choices: write the letter or the text that "
                "is asked for, and the choices into the question"
            )
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
    name = next((name for name in names if row.get(name) is not None), "")
    if isinstance(value, list) and len(value) == 1:
        value = value[0]  # a list of accepted answers that holds one
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a table without an integer type holds 27 as 27.0
    if value is None:
        raise ValueError(f"{where}: no {names[0]}: {_absent(row, names)}")
    if isinstance(value, list):
        raise ValueError(
            f"{where}: {name} is a list of {len(value)}, and must be one: make a row of each, or choose one"
        )
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{where}: {name} must be a text or a number, got {json.dumps(value, default=str)[:60]}")
    if not str(value).strip() or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{where}: {name} is empty")
    return str(value)


def _absent(row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Why a row has none of these fields."""
    null = next((name for name in names if name in row), None)
    if null is not None:
        return f"{null} is null"
    if len(row) == 1 and (parts := re.split(r"[;\t|]", str(next(iter(row))))) and len(parts) > 1:
        return f"the fields are {', '.join(map(repr, parts))}, separated by another sign than a comma"
    have = ", ".join(repr(str(name)) for name in row) or "nothing"
    return f"it may be called {', '.join(names)}, and the row has {have}"
