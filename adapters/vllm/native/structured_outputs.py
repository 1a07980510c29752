"""Finds out whether vLLM's own structured outputs can constrain the answer beside the controls of a request.

With a reasoning parser, vLLM applies a grammar only behind the token that ends the reasoning. Controls then have to be
done at that token: what they would write or forbid behind it, the grammar would not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from thinkpace.processors.budgeting.budget import Budget
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.program import Program

#: whether these ids end the reasoning
Ends = Callable[[Sequence[int]], bool]


def reasoning_end(vllm_config: Any, tokenizer: Any) -> Ends | None:
    """vLLM's rule for the end of reasoning; None if it applies a grammar from the first token."""
    config = vllm_config.structured_outputs_config
    if not config.reasoning_parser or config.enable_in_reasoning:
        return None
    from vllm.reasoning import ReasoningParserManager

    parser = ReasoningParserManager.get_reasoning_parser(config.reasoning_parser)(tokenizer)
    return lambda ids: bool(parser.is_reasoning_end(list(ids)))


def why_not(controls: Sequence[Control], program: Program, ends: Ends | None) -> str | None:
    """Why controls and a grammar cannot go together, as the rest of a sentence about it; None if they can.

    Args:
        controls: of the request.
        program: the controls, compiled.
        ends: from `reasoning_end`.
    """
    if ends is None:
        return (
            "constrain thinking too, unless vLLM has a --reasoning-parser: start it with one, or use StructuredAnswer"
        )
    for control in controls:
        if control.rules_answer:
            return f"and {control!r} both constrain the answer: leave one of them out"
        if isinstance(control, Budget):
            if control.guard:
                return f"do not know the guard of {control!r}: leave it out"
        elif "answer" in control.phases:
            return f"do not know what {control!r} forbids in the answer: write during('thinking', ...)"
    if program.closing.final:
        return "do not know the final text that the controls write behind the close: use final=None"
    markers = program.tracker.markers
    for opening in markers.open_spellings:
        for close in {*markers.close_spellings, markers.forced_close}:
            if ends((*opening, *close[:-1])) or not ends((*opening, *close)):
                return (
                    "begin behind another token than the close of the controls: name the markers of vLLM's reasoning "
                    "parser, such as open='<think>' and close='</think>' in additional_config.thinkpace"
                )
    return None
