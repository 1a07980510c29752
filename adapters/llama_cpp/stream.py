"""Streams the tokens of a sequence as they are generated, in pieces of one token kind."""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from thinkpace.adapters.llama_cpp.loop import Job
from thinkpace.processors.core.token_kinds import TokenKind, TokenKindTracker
from thinkpace.processors.text.vocabulary import TokenIds, Vocabulary


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive tokens of one kind; a special token, such as the end, is a piece of its own.

    Args:
        kind: as in `Completion.kinds`.
        tokens: their ids.
        text: their text; an incomplete character is emitted with the piece that completes it.
        answers: whether they follow the close: with "closing", a text such as "Final Answer:".
        message: whether they are the message that a budget writes before the close.
        start: output index of the first one.
    """

    kind: TokenKind
    tokens: TokenIds
    text: str
    answers: bool
    message: bool = False
    start: int = 0


class Pieces:
    """A job's new pieces since the last call of `new`."""

    def __init__(self, job: Job, vocabulary: Vocabulary) -> None:
        self._job = job
        self._kinds = TokenKindTracker(job.log.program, job.request.prompt)
        self._pieces = vocabulary.pieces
        self._special = vocabulary.special
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._given = 0

    def new(self) -> Iterator[Piece]:
        """Pieces of tokens not yielded before; once the job is done, all that are left."""
        log, done = self._job.log, self._job.done
        self._kinds.follow(log.tokens, log.history)
        settled = len(self._kinds.found) if done else self._kinds.settled
        groups = [self._sort(i) for i in range(self._given, settled)]
        for (kind, answers, message, _), run in itertools.groupby(groups):
            start = self._given
            self._given += len(list(run))
            tokens = tuple(log.tokens[start : self._given])
            data = b"".join(self._pieces[token] for token in tokens)
            text = self._text.decode(data, final=done and self._given == settled)
            yield Piece(kind, tokens, text, answers, message, start)

    def _sort(self, i: int) -> tuple[TokenKind, bool, bool, int]:
        """The grouping key of token `i`: kind, whether in the answer, whether in a message, id if special (else -1)."""
        kind, begins, token = self._kinds.found[i], self._kinds.answer_from, self._job.log.tokens[i]
        answers = kind == "answer" or (kind == "closing" and 0 <= begins <= i)
        return kind, answers, kind == "closing" and self._is_message(i), token if token in self._special else -1

    def _is_message(self, i: int) -> bool:
        log = self._job.log
        ids = log.program.closing.message
        wrote = (event for event in log.state.events if event.what == "wrote" and event.tokens[: len(ids)] == ids)
        return bool(ids) and any(event.at <= i < event.at + len(ids) for event in wrote)
