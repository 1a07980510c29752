"""What a worker has to tell beside the tokens: which id was drawn where another one came, and numbers from rows.

vLLM gives a logits processor no way to answer, so the worker writes notes, a file per sequence. Whoever gives the
answer opens a folder for them before it passes the request on, reads them, and replays the tokens with them: that makes
the receipt. Where no such folder is, or not any more, nothing is written.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thinkpace.processors.core.decisions import RowStatistic, Statistics
from thinkpace.processors.core.replay import DrawHistory

_log = logging.getLogger("thinkpace")


def _folder(request: str) -> Path:
    owner = os.getuid() if hasattr(os, "getuid") else 0
    return Path(tempfile.gettempdir()) / f"thinkpace-{owner}" / request


def open_notes() -> str:
    """Wait for notes on a request.

    Returns:
        The name that travels with the request.

    Raises:
        PermissionError: if the folder for all notes belongs to somebody else.
    """
    request = secrets.token_hex(12)
    base = _folder(request).parent
    base.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and base.stat().st_uid != os.getuid():
        raise PermissionError(f"{base} belongs to another user: take it away")
    _folder(request).mkdir(mode=0o700)
    return request


def close_notes(request: str) -> None:
    """Forget the notes on a request; an empty name is that of none."""
    if not request:
        return
    shutil.rmtree(_folder(request), ignore_errors=True)


class Notes:
    """Notes on one sequence, being written.

    Args:
        request: the name that came with it.
        prompt: its ids.
        max_tokens: the limit that the engine took.
    """

    __slots__ = ("_noted", "_path")

    def __init__(self, request: str, prompt: Sequence[int], max_tokens: int | None) -> None:
        self._path = _folder(request) / secrets.token_hex(8)
        self._noted = 0  # tokens that the notes hold
        self._write({"prompt": _digest(prompt), "max_tokens": max_tokens}, os.O_CREAT)

    def _write(self, note: Mapping[str, Any], flags: int = 0) -> None:
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | flags, 0o600)
        except (FileNotFoundError, NotADirectoryError):
            return  # nobody waits for them
        except OSError as error:
            _log.error("a receipt is lost: %s", error)
            return
        try:
            os.write(file, json.dumps(note).encode() + b"\n")
        except OSError as error:  # a full disk must not end the engine; half a line tells that something is missing
            _log.error("a receipt is lost: %s", error)
        finally:
            os.close(file)

    def _note(self, tokens: Sequence[int], note: Mapping[str, Any]) -> None:
        new = list(tokens[self._noted :])
        self._noted = len(tokens)
        self._write({"at": len(tokens), "new": new, **note})

    def came(self, tokens: Sequence[int], drawn: int | None = None) -> None:
        """More tokens came; the last one where `drawn` had been drawn, if it is given."""
        self._note(tokens, {} if drawn is None else {"drawn": drawn})

    def note_statistics(self, tokens: Sequence[int], statistics: Statistics) -> None:
        """Numbers about the row that the next token is drawn from."""
        self._note(tokens, {"numbers": _listed(statistics)})

    def expects(self, tokens: Sequence[int], drawn: Mapping[int, int], otherwise: int | None) -> None:
        """What will have been drawn at the last place of all, which the worker never sees, by what comes there."""
        self._note(tokens, {"if": sorted(drawn.items()), "else": otherwise})

    def rewound(self, length: int) -> None:
        """The output is shorter than it was."""
        self._noted = min(self._noted, length)

    def declined(self, message: str) -> None:
        """There will be no notes."""
        self._write({"declined": message})

    def failed(self, message: str) -> None:
        """The controls could not go on."""
        self._write({"error": message})


@dataclass
class WorkerNotes:
    """Notes on one sequence, read.

    Args:
        prompt: a digest of its prompt.
        max_tokens: the limit that the engine took.
        tokens: that the notes are about.
        drawn: output index -> the id that was drawn.
        numbers: output index -> the numbers known of the row.
        last: index of the last place -> what was drawn there by what came, and otherwise.
        error: what ended it.
        declined: why there are no notes, if there can be none.
    """

    prompt: str = ""
    max_tokens: int | None = None
    tokens: list[int] = field(default_factory=list)
    drawn: dict[int, int] = field(default_factory=dict)
    statistics: dict[int, Statistics] = field(default_factory=dict)
    last: dict[int, tuple[dict[int, int], int | None]] = field(default_factory=dict)
    error: str | None = None
    declined: str | None = None

    def history(self, tokens: Sequence[int]) -> DrawHistory:
        """What the state after these tokens depends on."""
        drawn = {at: origin for at, origin in self.drawn.items() if at < len(tokens)}
        for at, (by_token, otherwise) in self.last.items():
            if at == len(tokens) - 1:
                origin = by_token.get(tokens[at], otherwise)
                drawn |= {} if origin is None or origin == tokens[at] else {at: origin}
        return DrawHistory(drawn, {at: statistics for at, statistics in self.statistics.items() if at <= len(tokens)})

    def to_json(self) -> dict[str, Any]:
        """What `noted_from_json` reads."""
        return {
            "max_tokens": self.max_tokens,
            "drawn": sorted(self.drawn.items()),
            "numbers": [[at, _listed(statistics)] for at, statistics in self.statistics.items()],
            "last": [[at, sorted(drawn.items()), otherwise] for at, (drawn, otherwise) in self.last.items()],
        }

    def _take(self, note: Mapping[str, Any]) -> None:
        at: int = note["at"]
        start = at - len(note["new"])
        if start < len(self.tokens):  # the output had been cut back
            self.drawn = {place: origin for place, origin in self.drawn.items() if place < start}
            self.statistics = {place: statistics for place, statistics in self.statistics.items() if place <= start}
        self.tokens[start:] = note["new"]
        if "drawn" in note:
            self.drawn[at - 1] = note["drawn"]
        if "numbers" in note:
            self.statistics[at] = _numbers(note["numbers"])
        if "if" in note:
            self.last = {at: (dict(note["if"]), note["else"])}


def noted_from_json(data: Mapping[str, Any]) -> WorkerNotes:
    """What `WorkerNotes.to_json` wrote."""
    return WorkerNotes(
        max_tokens=data["max_tokens"],
        drawn=dict(data["drawn"]),
        statistics={at: _numbers(listed) for at, listed in data["numbers"]},
        last={at: (dict(drawn), otherwise) for at, drawn, otherwise in data["last"]},
    )


def _listed(statistics: Statistics) -> list[list[Any]]:
    return [[need.kind, need.suffix, need.max_tokens, number] for need, number in statistics.items()]


def _numbers(listed: Sequence[Sequence[Any]]) -> Statistics:
    return {RowStatistic(kind, tuple(suffix), most): number for kind, suffix, most, number in listed}


def _digest(prompt: Sequence[int]) -> str:
    return hashlib.blake2b(json.dumps(list(prompt)).encode(), digest_size=12).hexdigest()


def read_notes(request: str) -> list[WorkerNotes]:
    """The notes on the sequences of a request; none if no worker has written any."""
    return [_read(path) for path in sorted(_folder(request).glob("*"))]


def _read(path: Path) -> WorkerNotes:
    out = WorkerNotes()
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            note = json.loads(line)
        except ValueError:  # the disk was full
            out.declined = "the workers could not write their notes down, so there can be no receipt"
            continue
        out.prompt = note.get("prompt", out.prompt)
        out.error = note.get("error", out.error)
        out.declined = note.get("declined", out.declined)
        out.max_tokens = note.get("max_tokens", out.max_tokens)
        if "at" in note:
            out._take(note)
    return out


def of(notes: Sequence[WorkerNotes], prompt: Sequence[int], tokens: Sequence[int]) -> WorkerNotes | None:
    """The notes on the sequence with this prompt and these tokens; None if there are none.

    They may go further than what was given out, where a text ended it.
    """
    own = _digest(prompt)

    def shared(noted: WorkerNotes) -> int:
        return min(len(noted.tokens), len(tokens))

    fitting = [
        noted
        for noted in notes
        if noted.prompt == own and list(tokens[: shared(noted)]) == noted.tokens[: shared(noted)]
    ]
    return max(fitting, key=shared, default=None)
