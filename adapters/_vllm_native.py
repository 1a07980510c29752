"""When vLLM's own `thinking_token_budget` is the same as a control: a plain hard cap, and nothing else."""

from __future__ import annotations

from typing import Any

from thinkpace.processors.budget import ThinkBudget
from thinkpace.processors.program import Program
from thinkpace.processors.request import Request
from thinkpace.processors.vocabulary import TokenIds
from thinkpace.types import Phase


def native_texts(vllm_config: Any) -> tuple[TokenIds, TokenIds]:
    """The ids that an engine's own budget takes for the opening of thinking, and for its close.

    Raises:
        ValueError: if it has none.
    """
    reasoning = vllm_config.reasoning_config
    if reasoning is None or not reasoning.enabled:
        raise ValueError(
            "native_caps needs a reasoning_config: LLM(..., reasoning_config={...}), or --reasoning-config"
        )
    return tuple(reasoning.reasoning_start_token_ids), tuple(reasoning.reasoning_end_token_ids)


def native_cap(request: Request, program: Program, start: TokenIds, end: TokenIds) -> int | None:
    """The number to ask vLLM for; None where its budget would not do the same.

    vLLM writes one fixed text, which it also takes for the natural close, keeps no room for an answer, and counts the
    thinking tokens that stand in the prompt already. It grants the budget anew to thinking that is opened again.

    Args:
        request: whose prompt has opened thinking.
        program: its controls, compiled.
        start: the ids that vLLM takes for the opening of thinking.
        end: the ids that it takes for the close, and writes.
    """
    markers = program.tracker.markers
    control = request.controls[0] if len(request.controls) == 1 else None
    if not isinstance(control, ThinkBudget):
        return None
    limit = control.max_tokens
    if limit is None or control != ThinkBudget(limit, answer_reserve=control.answer_reserve):
        return None
    if set(markers.opens) != {start} or set(markers.closes) != {end} or markers.forced_close != end:
        return None
    if limit + len(end) + control.answer_reserve > request.max_new_tokens:
        return None
    if program.tracker.start(request.prompt).phase is not Phase.THINKING:
        return None
    prompt = request.prompt
    opened = max((at for at in range(len(prompt)) if prompt[at : at + len(start)] == start), default=None)
    return None if opened is None else limit + len(prompt) - opened - len(start)
