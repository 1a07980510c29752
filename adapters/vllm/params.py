"""vLLM's sampling parameters: checks which of them can be combined with controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thinkpace.adapters.vllm.served_model import NO_FORKS
from thinkpace.adapters.vllm.terms import KEY, WireRequest, terms_from
from thinkpace.processors.budgeting.budget import Budget

if TYPE_CHECKING:
    from vllm import SamplingParams


ENDED = "a request was ended, since its controls cannot work: %s"  # log message of both runners
GREEDY = 1e-5  # vLLM decodes greedily below this temperature


def temperature_of(params: SamplingParams) -> float:
    """The temperature that vLLM samples at; 0 for greedy."""
    return params.temperature if params.temperature >= GREEDY else 0.0


def check_params(params: SamplingParams) -> WireRequest | None:
    """The terms of a request; None if it has none.

    Raises:
        ValueError: if a sampling parameter conflicts with the controls; it names the field.
    """
    terms = terms_from(params.extra_args)
    if terms is None:
        return None
    for budget in (control for control in terms.controls if isinstance(control, Budget)):
        limit = None if params.max_tokens is None else terms.continued + params.max_tokens
        if limit is not None and budget.min_tokens + budget.answer_reserve >= limit:
            raise ValueError(
                f"{KEY}.controls: max_tokens={limit} leaves no room for thinking beside "
                f"min_tokens={budget.min_tokens} and answer_reserve={budget.answer_reserve}: raise the first or lower "
                "the others"
            )
    if params.structured_outputs is not None:
        raise ValueError("structured_outputs would not know what the controls write: use StructuredAnswer instead")
    if any("trial" in control.statistics for control in terms.controls):
        raise ValueError(NO_FORKS)
    if params.allowed_token_ids is not None:
        raise ValueError("allowed_token_ids may leave a control no token, or take its own: leave one of them out")
    if params.bad_words and any(control.rules_answer for control in terms.controls):
        raise ValueError("bad_words may leave the answer that is asked for no token: leave one of them out")
    if params.ignore_eos:
        raise ValueError("ignore_eos continues after the end of the sequence, where no control applies: leave it out")
    if params.thinking_token_budget is not None and any(control.decides_end for control in terms.controls):
        raise ValueError("thinking_token_budget and a control both decide when thinking ends: leave one of them out")
    return terms
