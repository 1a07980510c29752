"""Worker notes: what a receipt needs beside the tokens. These are draw histories and row statistics.

A vLLM logits processor cannot return data, so the worker writes notes, one file per sequence. The engine or middleware
creates a folder for them before it passes the request on. Later it reads the notes, and replays the tokens with them to
make the receipt. If the folder does not exist, or no longer, nothing is written.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thinkpace.processors.core.decisions import RowStatistic, Statistics
from thinkpace.processors.core.replay import DrawHistory
from thinkpace.user_folder import open_user_folder, user_folder

_log = logging.getLogger("thinkpace")


def open_notes() -> str:
    """Create a folder for the notes on a request.

    Returns:
        The folder's name, which is sent with the request.

    Raises:
        PermissionError: if the folder for all notes belongs to another user.
    """
    request = secrets.token_hex(12)
    (open_user_folder() / request).mkdir(mode=0o700)
    return request


def close_notes(request: str) -> None:
    """Delete the notes on a request; an empty name does nothing."""
    if not request:
        return
    shutil.rmtree(user_folder(request), ignore_errors=True)


class Notes:
    """Writes the notes on one sequence.

    Args:
        request: name of the folder, from `open_notes`.
        prompt: ids of the prompt.
        max_tokens: limit on output tokens that the engine applied.
    """

    __slots__ = ("_noted", "_path")

    def __init__(self, request: str, prompt: Sequence[int], max_tokens: int | None) -> None:
        self._path = user_folder(request) / secrets.token_hex(8)
        self._noted = 0  # number of tokens in the notes
        self._write({"prompt": _digest(prompt), "max_tokens": max_tokens}, os.O_CREAT)

    def _write(self, note: Mapping[str, Any], flags: int = 0) -> None:
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | flags, 0o600)
        except (FileNotFoundError, NotADirectoryError):
            return  # no folder: notes are not wanted
        except OSError as error:
            _log.error("a receipt is lost: %s", error)
            return
        try:
            os.write(file, json.dumps(note).encode() + b"\n")
        except OSError as error:  # a full disk must not end the engine; a partial line shows the loss
            _log.error("a receipt is lost: %s", error)
        finally:
            os.close(file)

    def _note(self, tokens: Sequence[int], note: Mapping[str, Any]) -> None:
        new = list(tokens[self._noted :])
        self._noted = len(tokens)
        self._write({"at": len(tokens), "new": new, **note})

    def came(self, tokens: Sequence[int], drawn: int | None = None) -> None:
        """Note new tokens. For the last one, `drawn` is the id that was drawn, if it is another."""
        self._note(tokens, {} if drawn is None else {"drawn": drawn})

    def note_statistics(self, tokens: Sequence[int], statistics: Statistics) -> None:
        """Note statistics of the row that the next token is drawn from."""
        self._note(tokens, {"numbers": _listed(statistics)})

    def expects(self, tokens: Sequence[int], drawn: Mapping[int, int], otherwise: int | None) -> None:
        """Note in advance which id is drawn at the last index, by the token there, which the worker never sees.

        Args:
            tokens: output ids before the last one.
            drawn: last token -> the id that was drawn.
            otherwise: the id that was drawn if the last token is another one; None if that is the token itself.
        """
        self._note(tokens, {"if": sorted(drawn.items()), "else": otherwise})

    def rewound(self, length: int) -> None:
        """The output was cut back to `length` tokens."""
        self._noted = min(self._noted, length)

    def declined(self, message: str) -> None:
        """Note why there will be no notes."""
        self._write({"declined": message})

    def failed(self, message: str) -> None:
        """Note why the controls failed."""
        self._write({"error": message})


@dataclass
class WorkerNotes:
    """The notes on one sequence, as read.

    Args:
        prompt: digest of the prompt.
        max_tokens: limit on output tokens that the engine applied.
        tokens: output ids that the notes cover.
        drawn: output index -> the id that was drawn.
        statistics: output index -> known statistics of the row.
        last: last output index -> (token there -> id that was drawn, id that was drawn for any other token).
        error: why the controls failed; None if they did not.
        declined: why there are no notes; None if there are some.
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
        """The draw history and statistics that the state after these tokens depends on."""
        drawn = {at: origin for at, origin in self.drawn.items() if at < len(tokens)}
        for at, (by_token, otherwise) in self.last.items():
            if at == len(tokens) - 1:
                origin = by_token.get(tokens[at], otherwise)
                drawn |= {} if origin is None or origin == tokens[at] else {at: origin}
        return DrawHistory(drawn, {at: statistics for at, statistics in self.statistics.items() if at <= len(tokens)})

    def to_json(self) -> dict[str, Any]:
        """JSON data for `noted_from_json`."""
        return {
            "max_tokens": self.max_tokens,
            "drawn": sorted(self.drawn.items()),
            "numbers": [[at, _listed(statistics)] for at, statistics in self.statistics.items()],
            "last": [[at, sorted(drawn.items()), otherwise] for at, (drawn, otherwise) in self.last.items()],
        }

    def _take(self, note: Mapping[str, Any]) -> None:
        at: int = note["at"]
        start = at - len(note["new"])
        if start < len(self.tokens):  # the output was cut back
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
    """Read the data that `WorkerNotes.to_json` returned."""
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
    """The notes on the sequences of a request; empty if no worker wrote any."""
    return [_read(path) for path in sorted(user_folder(request).glob("*"))]


def _read(path: Path) -> WorkerNotes:
    out = WorkerNotes()
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            note = json.loads(line)
        except ValueError:  # a partial line: the disk was full
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

    They may cover more tokens than the output, if a stop string ended it.
    """
    prompt_digest = _digest(prompt)

    def shared(noted: WorkerNotes) -> int:
        return min(len(noted.tokens), len(tokens))

    fitting = [
        noted
        for noted in notes
        if noted.prompt == prompt_digest and list(tokens[: shared(noted)]) == noted.tokens[: shared(noted)]
    ]
    return max(fitting, key=shared, default=None)
