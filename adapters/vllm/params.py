"""vLLM's sampling parameters: checks which of them can be combined with controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thinkpace.adapters.vllm.served_model import NO_FORKS
from thinkpace.adapters.vllm.terms import KEY, WireRequest, terms_from
from thinkpace.processors.budgeting.budget import Budget
from thinkpace.processors.text.shared_patterns import shared_patterns

if TYPE_CHECKING:
    from vllm import SamplingParams


ENDED = "a request was ended, since its controls cannot work: %s"  # log message of both runners
FIELD = f"vllm_xargs.{KEY}"  # the field of a request over HTTP that holds the terms
GREEDY = 1e-5  # vLLM decodes greedily below this temperature


class Conflict(ValueError):
    """A field of a request conflicts with controls.

    Args:
        field: its name.
        message: why, and what to do.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def temperature_of(params: SamplingParams) -> float:
    """The temperature that vLLM samples at; 0 for greedy."""
    return params.temperature if params.temperature >= GREEDY else 0.0


def check_params(params: SamplingParams) -> WireRequest | None:
    """The terms of a request; None if it has none.

    Raises:
        Conflict: if a sampling parameter conflicts with the controls.
        ValueError: if the terms are invalid; it names the field.
    """
    with shared_patterns():  # the worker finds them built
        terms = terms_from(params.extra_args)
    if terms is None:
        return None
    for budget in (control for control in terms.controls if isinstance(control, Budget)):
        limit = None if params.max_tokens is None else terms.continued + params.max_tokens
        if limit is not None and budget.min_tokens + budget.answer_reserve >= limit:
            raise Conflict(
                "max_tokens",
                f"{KEY}.controls: max_tokens={limit} leaves no room for thinking beside "
                f"min_tokens={budget.min_tokens} and answer_reserve={budget.answer_reserve}: raise the first or lower "
                "the others",
            )
    if params.structured_outputs is not None and not terms.structured_outputs:
        raise Conflict(
            "structured_outputs",
            "structured_outputs go together with some controls only, and behind a reasoning parser: load the "
            "middleware, which knows, or write structured_outputs=True into extra_args, or use StructuredAnswer",
        )
    if any("trial" in control.statistics for control in terms.controls):
        raise ValueError(NO_FORKS)
    if params.allowed_token_ids is not None:
        raise Conflict(
            "allowed_token_ids",
            "allowed_token_ids may leave a control no token, or take its own: leave one of them out",
        )
    if params.bad_words and any(control.rules_answer for control in terms.controls):
        raise Conflict("bad_words", "bad_words may leave the answer that is asked for no token: leave one of them out")
    if params.min_tokens and any(control.rules_answer for control in terms.controls):
        raise Conflict(
            "min_tokens", "min_tokens may forbid the end of the answer that is asked for: leave one of them out"
        )
    if params.ignore_eos:
        raise Conflict(
            "ignore_eos", "ignore_eos continues after the end of the sequence, where no control applies: leave it out"
        )
    if params.thinking_token_budget is not None and any(control.decides_end for control in terms.controls):
        raise Conflict(
            "thinking_token_budget",
            "thinking_token_budget and a control both decide when thinking ends: leave one of them out",
        )
    return terms
