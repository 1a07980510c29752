"""What a worker has to tell beside the tokens: which id was drawn where another one came, and numbers from rows.

vLLM gives a logits processor no way to answer, so the worker writes notes, a file per sequence, into a folder that the
engine's processes share. Whoever gives the answer reads them and replays the tokens: that makes the receipt. A note
carries the tokens that came before it, so that the samples of one request (`n` > 1) can be told apart.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thinkpace.processors.base import Need, Numbers
from thinkpace.processors.program import Told


def folder(instance: str) -> Path:
    """Where the processes of one engine keep their notes.

    Args:
        instance: the engine's, as its configuration has it.
    """
    return Path(tempfile.gettempdir()) / f"thinkpace-{instance}"


class Notes:
    """Notes on one sequence, being written."""

    __slots__ = ("_noted", "_path")

    def __init__(self, where: Path, request: str, max_tokens: int | None) -> None:
        where.mkdir(mode=0o700, exist_ok=True)
        self._path = where / f"{request}.{secrets.token_hex(6)}"
        self._path.touch(mode=0o600)
        self._noted = 0  # tokens that the notes hold
        self._write({"max_tokens": max_tokens})

    def _write(self, note: Mapping[str, Any]) -> None:
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:
            return  # whoever asked has gone, and has taken the notes away
        try:
            os.write(file, json.dumps(note).encode() + b"\n")
        finally:
            os.close(file)

    def _note(self, tokens: Sequence[int], note: Mapping[str, Any]) -> None:
        new = list(tokens[self._noted :])
        self._noted = max(self._noted, len(tokens))
        self._write({"at": len(tokens), "new": new, **note})

    def drew(self, tokens: Sequence[int], drawn: int) -> None:
        """The last of the tokens came where `drawn` had been drawn."""
        self._note(tokens, {"drawn": drawn})

    def measured(self, tokens: Sequence[int], numbers: Numbers) -> None:
        """Numbers about the row that the next token is drawn from."""
        self._note(tokens, {"numbers": _listed(numbers)})

    def expects(self, tokens: Sequence[int], drawn: Mapping[int, int], otherwise: int | None) -> None:
        """What will have been drawn at the last place of all, which the worker never sees, by what comes there."""
        self._note(tokens, {"if": sorted(drawn.items()), "else": otherwise})

    def failed(self, message: str) -> None:
        """The controls could not go on."""
        self._write({"error": message})


@dataclass
class Noted:
    """Notes on one sequence, read.

    Args:
        max_tokens: the limit that the engine took.
        tokens: that the notes are about.
        drawn: output index -> the id that was drawn.
        numbers: output index -> the numbers known of the row.
        last: index of the last place -> what was drawn there by what came, and otherwise.
        error: what ended it.
    """

    max_tokens: int | None = None
    tokens: list[int] = field(default_factory=list)
    drawn: dict[int, int] = field(default_factory=dict)
    numbers: dict[int, Numbers] = field(default_factory=dict)
    last: dict[int, tuple[dict[int, int], int | None]] = field(default_factory=dict)
    error: str | None = None

    def told(self, tokens: Sequence[int]) -> Told:
        """What the state after these tokens depends on."""
        drawn = {at: origin for at, origin in self.drawn.items() if at < len(tokens)}
        for at, (by_token, otherwise) in self.last.items():
            if at == len(tokens) - 1:
                origin = by_token.get(tokens[at], otherwise)
                drawn |= {} if origin is None or origin == tokens[at] else {at: origin}
        return Told(drawn, {at: numbers for at, numbers in self.numbers.items() if at <= len(tokens)})

    def to_json(self) -> dict[str, Any]:
        """What `noted_from_json` reads."""
        return {
            "max_tokens": self.max_tokens,
            "drawn": sorted(self.drawn.items()),
            "numbers": [[at, _listed(numbers)] for at, numbers in self.numbers.items()],
            "last": [[at, sorted(drawn.items()), otherwise] for at, (drawn, otherwise) in self.last.items()],
        }


def noted_from_json(data: Mapping[str, Any]) -> Noted:
    """What `Noted.to_json` wrote."""
    return Noted(
        data["max_tokens"],
        drawn=dict(data["drawn"]),
        numbers={at: _numbers(listed) for at, listed in data["numbers"]},
        last={at: (dict(drawn), otherwise) for at, drawn, otherwise in data["last"]},
    )


def _listed(numbers: Numbers) -> list[list[Any]]:
    return [[need.kind, need.suffix, need.max_tokens, number] for need, number in numbers.items()]


def _numbers(listed: Sequence[Sequence[Any]]) -> Numbers:
    return {Need(kind, tuple(suffix), most): number for kind, suffix, most, number in listed}


def read(where: Path, request: str) -> list[Noted]:
    """The notes on the sequences of a request; none if no worker has written any.

    Args:
        where: the folder.
        request: the id under which they are.
    """
    return [_read(path) for path in sorted(where.glob(f"{request}.*"))]


def _read(path: Path) -> Noted:
    out = Noted()
    for line in path.read_text(encoding="utf-8").splitlines():
        note = json.loads(line)
        out.error = note.get("error", out.error)
        out.max_tokens = note.get("max_tokens", out.max_tokens)
        if "at" not in note:
            continue
        at: int = note["at"]
        out.tokens[at - len(note["new"]) :] = note["new"]
        if "drawn" in note:
            out.drawn[at - 1] = note["drawn"]
        if "numbers" in note:
            out.numbers[at] = _numbers(note["numbers"])
        if "if" in note:
            out.last[at] = (dict(note["if"]), note["else"])
    return out


def of(notes: Sequence[Noted], tokens: Sequence[int]) -> Noted | None:
    """The notes on the sequence with these tokens; None if there are none."""
    fitting = [noted for noted in notes if list(tokens[: len(noted.tokens)]) == noted.tokens]
    return max(fitting, key=lambda noted: len(noted.tokens), default=None)


def remove(where: Path, request: str) -> None:
    """Forget the notes on a request."""
    for path in where.glob(f"{request}.*"):
        path.unlink(missing_ok=True)
