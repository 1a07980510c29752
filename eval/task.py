"""Tasks: questions with known answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Example:
    """One question of a task.

    Args:
        id: names the question in the journal and in the results; unique within a task.
        question: what is asked, without any instruction.
        answer: the known answer, as text.
    """

    id: str
    question: str
    answer: str


def load_jsonl(path: Path) -> list[Example]:
    """Examples from JSON lines with `question` and `answer`, and `id` where there is one (else the line number).

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a line that is no JSON object, lacks a field, or repeats an id; names the line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no task file {path}")
    out: dict[str, Example] = {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text ({error.reason} at byte {error.start})") from None
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair is JSON, but no text
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: not JSON ({error})") from None
        if not isinstance(row, dict):
            raise ValueError(f"{path}, line {number}: expected an object with question and answer")
        for field in ("question", "answer"):
            value = row.get(field)
            if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
                raise ValueError(f"{path}, line {number}: no {field}")
        name = row.get("id")
        example = Example(f"line {number}" if name is None else str(name), str(row["question"]), str(row["answer"]))
        if example.id in out:
            raise ValueError(f"{path}, line {number}: the id {example.id!r} was used before")
        out[example.id] = example
    if not out:
        raise ValueError(f"{path} holds no questions")
    return list(out.values())
