"""From the log of a finished sequence to a completion: the same for every engine."""

from __future__ import annotations

from thinkpace.adapters._slots import SequenceLog
from thinkpace.processors.program import Kind, kinds
from thinkpace.processors.request import Completion, Request
from thinkpace.processors.vocabulary import Vocabulary


def token_kinds(log: SequenceLog) -> tuple[Kind, ...]:
    """The kind of every output token of a sequence."""
    return kinds(log.program, log.prompt, log.tokens, log.drawn)


def completion(log: SequenceLog, request: Request, vocabulary: Vocabulary) -> Completion:
    """What the engine returns for a request whose sequence is done."""
    tokens, special = tuple(log.tokens), vocabulary.special
    sorts = token_kinds(log)
    thinking = [token for token, kind in zip(tokens, sorts, strict=True) if kind in ("thinking", "injected")]
    answer_from = log.state.track.answer_from
    answer = [token for token in tokens[answer_from:] if token not in special] if answer_from >= 0 else []
    return Completion(
        tokens,
        sorts,
        vocabulary.decode(tokens),
        vocabulary.decode(thinking),
        vocabulary.decode(answer),
        log.receipt(),
        "stop" if log.state.track.ended else "length",
        request.seed,
    )
