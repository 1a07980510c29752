"""The limits of a budget, as numbers and ids."""

from __future__ import annotations

from dataclasses import dataclass

from thinkpace.processors.text.vocabulary import TokenIds


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a budget, and the ids of `wait`.

    Args:
        max_tokens: maximum of thinking tokens; None for no limit.
        min_tokens: minimum of thinking tokens.
        waits: number of attempts to close that are extended, independent of the minimum.
        wait: ids written instead of closing; empty to write nothing.
        final_always: whether the final text is also written after a natural close.
        max_new_tokens: the request's limit on output tokens; None if there is none.
        answer_reserve: output tokens reserved for the answer inside `max_new_tokens`; None to close nothing for it.
        landing: size of the landing, the last thinking tokens before the limit, where thinking ends at the first pause.
        landing_boost: value added to the logit of closing at the end of the landing; it grows from 0.
        held: whether a close at the limit may be held, by the processor of `Spans`.
    """

    max_tokens: int | None
    min_tokens: int
    waits: int
    wait: TokenIds
    final_always: bool
    max_new_tokens: int | None
    answer_reserve: int | None
    landing: int
    landing_boost: float
    held: bool
