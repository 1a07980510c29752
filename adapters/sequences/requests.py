"""From requests to programs, and from finished sequences to completions: shared by all engines."""

from __future__ import annotations

from collections.abc import Sequence

from thinkpace.adapters.sequences.sequence_log import SequenceLog
from thinkpace.engine import Completion, Request
from thinkpace.processors.core.program import Program, compile_program
from thinkpace.processors.core.token_kinds import token_kinds
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import TokenIds, Vocabulary


def compile_requests(
    requests: Sequence[Request],
    vocabulary: Vocabulary,
    markers: Markers,
    context_tokens: int | None = None,
    *,
    takes_back: bool = False,
) -> list[Program]:
    """One program per request; requests with the same controls and limit share one.

    Raises:
        UnsupportedControl: if a control cannot work here, or a prompt plus its limit exceeds the model's context.
    """
    compiled: dict[tuple[object, ...], Program] = {}
    for request in requests:
        request.check_room(context_tokens)
        key = (request.controls, request.max_new_tokens)
        if key not in compiled:
            compiled[key] = compile_program(
                request.controls,
                vocabulary,
                markers,
                max_new_tokens=request.max_new_tokens,
                context_tokens=context_tokens,
                takes_back=takes_back,
            )
    return [compiled[request.controls, request.max_new_tokens] for request in requests]


def begin(program: Program, request: Request, prompt: TokenIds | None = None) -> SequenceLog:
    """The sequence log of a request, advanced over the output to continue.

    Args:
        program: its program.
        request: the request.
        prompt: the prompt ids, if the engine's differ from the request's.
    """
    log = SequenceLog(program, request.prompt if prompt is None else prompt, request.seed)
    log.restore(request.history)
    log.sync(request.continue_from)
    return log


def is_done(log: SequenceLog, request: Request) -> bool:
    """Whether the sequence has ended or reached its limit."""
    return log.ended or len(log.tokens) >= request.max_new_tokens


def completion(log: SequenceLog, request: Request, vocabulary: Vocabulary, times: Sequence[float] = ()) -> Completion:
    """The completion of a request whose sequence is done.

    Args:
        log: the sequence.
        request: the request.
        vocabulary: of the tokenizer.
        times: time in seconds of each newly generated token; empty if not known.
    """
    tokens, special = tuple(log.tokens), vocabulary.special
    kinds = token_kinds(log.program, log.prompt, log.tokens, log.history)
    thinking = [token for token, kind in zip(tokens, kinds, strict=True) if kind in ("thinking", "injected")]
    track = log.state.track
    answer = [token for token in tokens[track.answer_from :] if token not in special] if track.answer_from >= 0 else []
    first = track.answer_from - len(request.continue_from)
    return Completion(
        tokens=tokens,
        kinds=kinds,
        text=vocabulary.decode(tokens),
        thinking=vocabulary.decode(thinking),
        answer=vocabulary.decode(answer),
        receipt=log.receipt(),
        finish_reason="stop" if track.ended else "length",
        seed=request.seed,
        first_answer_s=times[first] if 0 <= first < len(times) else None,
    )
