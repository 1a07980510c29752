"""One choice of a response: its text so far, up to a stop string, and its receipt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from thinkpace.adapters.llama_cpp.stream import Piece
from thinkpace.adapters.serving.runner import ClientRequest
from thinkpace.types import Receipt


class ChoiceBuilder:
    """Turns the pieces of one choice into fields of OpenAI's API.

    Args:
        ticket: the runner's request that generates it.
        stops: stop strings.
        special: ids that produce no text.
        is_chat: whether thinking goes into a separate field.
    """

    def __init__(self, ticket: ClientRequest, stops: Sequence[str], special: frozenset[int], is_chat: bool) -> None:
        self.ticket = ticket
        self.is_chat = is_chat
        self._stops = stops
        self._special = special
        self._held = ""  # the end of the text, which may be the start of a stop string
        self._taken = 0  # number of tokens up to the stop string
        self.stopped = False

    def feed(self, piece: Piece) -> dict[str, str]:
        """The fields of a delta; empty if the client gets nothing."""
        if self.stopped:
            return {}
        self._taken += len(piece.tokens)
        if all(token in self._special for token in piece.tokens):
            return {}
        if self.is_chat and piece.kind in ("thinking", "injected"):
            return {"reasoning_content": piece.text} if piece.text else {}
        if self.is_chat and not piece.answers:
            return {}
        return self._up_to_stop(piece.text)

    def flush(self) -> dict[str, str]:
        """The fields of the text held back as a possible stop string, at the end of the output."""
        held, self._held = self._held, ""
        return {} if self.stopped else self._field(held)

    def _up_to_stop(self, text: str) -> dict[str, str]:
        text = self._held + text
        places = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if places:
            self._held, self.stopped = "", True
            return self._field(text[: min(places)])
        held = max((_partial_stop(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - held :]
        return self._field(text[: len(text) - held])

    def _field(self, text: str) -> dict[str, str]:
        return {("content" if self.is_chat else "text"): text} if text else {}

    @property
    def receipt(self) -> Receipt:
        """Receipt of the text up to the stop string; tokens generated after it do not count."""
        log = self.ticket.job.log
        if self.stopped:
            log = log.fork()
            log.rewind(self._taken)
        return log.receipt()

    @property
    def finish_reason(self) -> Literal["stop", "length"]:
        """Why the choice ended, in the terms of OpenAI's API."""
        return "stop" if self.stopped or self.ticket.job.log.ended else "length"


def _partial_stop(text: str, stop: str) -> int:
    """Length of the longest proper prefix of `stop` that the text ends with."""
    return next((k for k in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:k])), 0)
