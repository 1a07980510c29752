"""When vLLM's own `thinking_token_budget` is the same as a control: a plain hard cap, and nothing else."""

from __future__ import annotations

from typing import Any

from thinkpace.engine import Request
from thinkpace.processors.controls.think_budget import ThinkBudget
from thinkpace.processors.core.program import Program
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import TokenIds, Vocabulary
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


def check_native(markers: Markers, vocabulary: Vocabulary, start: TokenIds, end: TokenIds) -> None:
    """Refuse what would never be left to vLLM's own budget.

    Raises:
        ValueError: if the markers are others than vLLM's.
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
    """The number to ask vLLM for; None where its budget would not do the same.

    vLLM writes one fixed text, which it also takes for the natural close, keeps no room for an answer, and counts the
    thinking tokens that stand in the prompt already. It grants the budget anew to thinking that is opened again, lets
    an end of sequence inside thinking end it without an answer, and may cut a character of several tokens.

    Args:
        request: whose prompt has opened thinking.
        program: its controls, compiled.
        start: the ids that vLLM takes for the opening of thinking.
        end: the ids that it takes for the close, and writes.
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
