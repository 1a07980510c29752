"""One choice of a response: its text so far, up to a stop string, its log-probabilities, and its receipt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from thinkpace.adapters.llama_cpp.stream import Piece
from thinkpace.adapters.serving.runner import ClientRequest
from thinkpace.processors.text.vocabulary import Vocabulary
from thinkpace.types import Phase, Receipt

Delta = dict[str, Any]  #: fields of OpenAI's delta; "logprobs" holds the tokens of its text


class ChoiceBuilder:
    """Turns the pieces of one choice into fields of OpenAI's API.

    The answer of a chat begins at its first visible character: the line break after the close of thinking is no part of
    it, and no stop string is looked for in it.

    Args:
        ticket: the runner's request that generates it.
        stops: stop strings.
        special: ids that produce no text.
        is_chat: whether thinking goes into a separate field.
        vocabulary: for log-probabilities.
    """

    def __init__(
        self,
        ticket: ClientRequest,
        stops: Sequence[str],
        special: frozenset[int],
        is_chat: bool,
        vocabulary: Vocabulary,
    ) -> None:
        self.ticket = ticket
        self.is_chat = is_chat
        self._stops = stops
        self._special = special
        self._vocabulary = vocabulary
        self._held = ""  # the end of the text, which may be the start of a stop string
        self._taken = 0  # number of tokens up to the stop string
        self._begun = not is_chat or not ticket.job.log.state.track.opened  # whether white space is part of the text
        self.stopped = False

    def feed(self, piece: Piece) -> Delta:
        """The fields of a delta; empty if the client gets nothing."""
        if self.stopped:
            return {}
        self._taken += len(piece.tokens)
        if all(token in self._special for token in piece.tokens):
            return {}
        if self.is_chat and (piece.kind in ("thinking", "injected") or piece.message):
            self._begun = False
            return {"reasoning_content": piece.text} if piece.text else {}
        if self.is_chat and not piece.answers:
            self._begun = False
            return {}
        text = piece.text if self._begun else piece.text.lstrip()
        self._begun = self._begun or bool(text)
        return self._with_logprobs(self._up_to_stop(text), piece) if self._begun else {}

    def flush(self) -> Delta:
        """The fields of the text held back as a possible stop string, at the end of the output."""
        held, self._held = self._held, ""
        return {} if self.stopped else self._field(held)

    def _up_to_stop(self, text: str) -> Delta:
        text = self._held + text
        places = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if places:
            self._held, self.stopped = "", True
            return self._field(text[: min(places)])
        held = max((_partial_stop(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - held :]
        return self._field(text[: len(text) - held])

    def _field(self, text: str) -> Delta:
        return {("content" if self.is_chat else "text"): text} if text else {}

    def _with_logprobs(self, delta: Delta, piece: Piece) -> Delta:
        job = self.ticket.job
        if job.top < 0:
            return delta
        return {**delta, "logprobs": [self._logprob(piece.start + i, t) for i, t in enumerate(piece.tokens)]}

    def _logprob(self, at: int, token: int) -> Mapping[str, Any]:
        """The entry of a token; a token written inside a phrase has no log-probability."""
        known = self.ticket.job.logprobs.get(at)
        top = [] if known is None else [self._entry(i, number) for i, number in known.likeliest]
        return self._entry(token, None if known is None else known.chosen) | {"top_logprobs": top}

    def _entry(self, token: int, number: float | None) -> dict[str, Any]:
        piece = self._vocabulary.pieces[token]
        return {"token": piece.decode("utf-8", "replace"), "logprob": number, "bytes": list(piece)}

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
        """Why the choice ended, in the terms of OpenAI's API; "length" too if the server was shut down."""
        return "stop" if self.stopped or self.ticket.job.log.ended else "length"

    @property
    def verdict(self) -> dict[str, Any]:
        """What the fields of OpenAI's API cannot say.

        `controls` is "held", or "not held" where something that was asked for could not act (`receipt.notes` say what);
        `ended_in_thinking` whether the model ended inside its thinking and gave no answer, closed for it or not;
        `interrupted` whether the server was shut down.
        """
        receipt, log = self.receipt, self.ticket.job.log
        unanswered = receipt.end == "eos" and not self._begun
        inside = log.ended and (log.state.track.phase is Phase.THINKING or unanswered)
        more: dict[str, Any] = {"controls": receipt.held, "receipt": receipt.to_json()}
        more |= {"ended_in_thinking": True} if inside else {}
        return more | ({"interrupted": True} if self.ticket.interrupted else {})


def _partial_stop(text: str, stop: str) -> int:
    """Length of the longest proper prefix of `stop` that the text ends with."""
    return next((k for k in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:k])), 0)
