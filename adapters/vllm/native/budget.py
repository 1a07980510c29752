"""Finds out when vLLM's own `thinking_token_budget` has the same effect as a control: only for a plain hard cap."""

from __future__ import annotations

from typing import Any

from thinkpace.engine import Request
from thinkpace.processors.controls.think_budget import ThinkBudget
from thinkpace.processors.core.program import Program
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import TokenIds, Vocabulary
from thinkpace.types import Phase


def native_texts(vllm_config: Any) -> tuple[TokenIds, TokenIds]:
    """The ids that vLLM's own budget recognizes as the opening of thinking, and as its close.

    Raises:
        ValueError: if the engine has no reasoning config.
    """
    reasoning = vllm_config.reasoning_config
    if reasoning is None or not reasoning.enabled:
        raise ValueError(
            "native_caps needs a reasoning_config: LLM(..., reasoning_config={...}), or --reasoning-config"
        )
    return tuple(reasoning.reasoning_start_token_ids), tuple(reasoning.reasoning_end_token_ids)


def check_native(markers: Markers, vocabulary: Vocabulary, start: TokenIds, end: TokenIds) -> None:
    """Check that vLLM's own budget could ever enforce a cap.

    Raises:
        ValueError: if the markers differ from vLLM's.
    """
    bound = markers.bind(vocabulary)
    if set(bound.open_spellings) != {start} or set(bound.close_spellings) != {end} or bound.forced_close != end:
        texts = vocabulary.decode(start), vocabulary.decode(end)
        raise ValueError(
            f"native_caps would never hold: vLLM goes by {texts[0]!r} and writes {texts[1]!r}, the controls by "
            f"{markers.open!r} and write {markers.forced_close!r}; give them the same, as Markers{texts!r}, or as open "
            f"and close in additional_config.thinkpace"
        )


def native_cap(request: Request, program: Program, start: TokenIds, end: TokenIds) -> int | None:
    """The `thinking_token_budget` that has the same effect as the controls; None if there is none.

    vLLM closes thinking with one fixed text, which is also the only natural close that it recognizes. It keeps no
    answer reserve, and counts the thinking tokens that are already in the prompt. It grants the full budget again to
    reopened thinking, lets an end-of-sequence token inside thinking end the sequence without an answer, and may cut a
    character of several tokens.

    Args:
        request: the request; None is returned unless its prompt opens thinking.
        program: its controls, compiled.
        start: the ids that vLLM recognizes as the opening of thinking.
        end: the ids that vLLM recognizes as the close, and writes.
    """
    markers = program.tracker.markers
    control = request.controls[0] if len(request.controls) == 1 else None
    if not isinstance(control, ThinkBudget) or request.continue_from:
        return None
    limit = control.max_tokens
    if limit is None or control != ThinkBudget(limit, answer_reserve=control.answer_reserve):
        return None
    if set(markers.open_spellings) != {start} or set(markers.close_spellings) != {end} or markers.forced_close != end:
        return None  # the request has markers of its own
    if limit + len(end) + control.answer_reserve > request.max_new_tokens:
        return None
    if program.tracker.start(request.prompt).phase is not Phase.THINKING:
        return None
    prompt = request.prompt
    opened = max((at for at in range(len(prompt)) if prompt[at : at + len(start)] == start), default=None)
    return None if opened is None else limit + len(prompt) - opened - len(start)
