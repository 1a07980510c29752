"""The tokens of a sequence as they come, in pieces of one kind."""

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
    """Tokens of a stream that are of one kind; a special token, such as the end, is a piece of its own.

    Args:
        kind: as in `Completion.kinds`.
        tokens: their ids.
        text: of these tokens; a character that is not complete comes with the piece that completes it.
        answers: whether they follow the close: with "closing", a text such as "Final Answer:".
    """

    kind: TokenKind
    tokens: TokenIds
    text: str
    answers: bool


class Pieces:
    """What is new of a job, each time somebody asks."""

    def __init__(self, job: Job, vocabulary: Vocabulary) -> None:
        self._job = job
        self._kinds = TokenKindTracker(job.log.program, job.request.prompt)
        self._pieces = vocabulary.pieces
        self._special = vocabulary.special
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._given = 0

    def new(self) -> Iterator[Piece]:
        """Pieces of tokens that were not given yet; after the end of the job, all that is left."""
        log, done = self._job.log, self._job.done
        self._kinds.follow(log.tokens, log.history)
        settled = len(self._kinds.found) if done else self._kinds.settled
        sorts = [self._sort(i) for i in range(self._given, settled)]
        for (kind, answers, _), run in itertools.groupby(sorts):
            start = self._given
            self._given += len(list(run))
            tokens = tuple(log.tokens[start : self._given])
            data = b"".join(self._pieces[token] for token in tokens)
            text = self._text.decode(data, final=done and self._given == settled)
            yield Piece(kind, tokens, text, answers)

    def _sort(self, i: int) -> tuple[TokenKind, bool, int]:
        """What tokens of one piece have in common; a special token is a piece of its own."""
        kind, begins, token = self._kinds.found[i], self._kinds.answer_from, self._job.log.tokens[i]
        answers = kind == "answer" or (kind == "closing" and 0 <= begins <= i)
        return kind, answers, token if token in self._special else -1
