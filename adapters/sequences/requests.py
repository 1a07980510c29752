"""From requests to programs, and from the log of a finished sequence to a completion: the same for every engine."""

from __future__ import annotations

from collections.abc import Sequence

from thinkpace.adapters.sequences.sequence_log import SequenceLog
from thinkpace.engine import Completion, Request
from thinkpace.processors.core.program import Program, compile_program
from thinkpace.processors.core.token_kinds import token_kinds
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import TokenIds, Vocabulary


def compile_requests(
    requests: Sequence[Request], vocabulary: Vocabulary, markers: Markers, context_tokens: int | None = None
) -> list[Program]:
    """One program per request; requests that ask for the same share one.

    Raises:
        UnsupportedControl: if a control cannot work here, or a prompt and its limit are more than the model can hold.
    """
    made: dict[tuple[object, ...], Program] = {}
    for request in requests:
        request.check_room(context_tokens)
        key = (request.controls, request.max_new_tokens)
        if key not in made:
            made[key] = compile_program(
                request.controls,
                vocabulary,
                markers,
                max_new_tokens=request.max_new_tokens,
                context_tokens=context_tokens,
            )
    return [made[request.controls, request.max_new_tokens] for request in requests]


def begin(program: Program, request: Request, prompt: TokenIds | None = None) -> SequenceLog:
    """The sequence of a request, at what is there of its output.

    Args:
        program: that it is under.
        request: what is asked for.
        prompt: where the engine has another form of it than the request.
    """
    log = SequenceLog(program, request.prompt if prompt is None else prompt, request.seed)
    log.drawn.update(request.history.drawn)
    log.statistics.update(request.history.statistics)
    log.sync(request.continue_from)
    return log


def is_done(log: SequenceLog, request: Request) -> bool:
    """Whether nothing more comes."""
    return log.ended or len(log.tokens) >= request.max_new_tokens


def completion(log: SequenceLog, request: Request, vocabulary: Vocabulary, times: Sequence[float] = ()) -> Completion:
    """What the engine returns for a request whose sequence is done.

    Args:
        log: of the sequence.
        request: what was asked for.
        vocabulary: of the tokenizer.
        times: seconds at which each token that was not there before came; empty if that is not known.
    """
    tokens, special = tuple(log.tokens), vocabulary.special
    sorts = token_kinds(log.program, log.prompt, log.tokens, log.history)
    thinking = [token for token, kind in zip(tokens, sorts, strict=True) if kind in ("thinking", "injected")]
    track = log.state.track
    answer = [token for token in tokens[track.answer_from :] if token not in special] if track.answer_from >= 0 else []
    first = track.answer_from - len(request.continue_from)
    return Completion(
        tokens=tokens,
        kinds=sorts,
        text=vocabulary.decode(tokens),
        thinking=vocabulary.decode(thinking),
        answer=vocabulary.decode(answer),
        receipt=log.receipt(),
        finish_reason="stop" if track.ended else "length",
        seed=request.seed,
        first_answer_s=times[first] if 0 <= first < len(times) else None,
    )
