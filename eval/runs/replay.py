"""Counterfactual replay: how much of one generation would be the same under other controls.

The program of another list of controls steps through a long trace that was generated under a first list. As long as
both programs lead to the same token, the two runs are the same; only what follows the first difference has to be
generated. For budgets that is the answer after an earlier close; for waits it is what follows a close that the long
trace did not have.

The trace tells what the model drew at a token: the token itself, or the draw that a control replaced by it. An injected
token tells nothing about the draw, and a bias or a filter changes the draw itself: the shared prefix ends there. The
joint distribution is a coupling: each run by itself is distributed as if generated alone, and under greedy decoding it
equals that run. (Own method; the coupling of a moved probability is that of docs/architecture.md, "Budget forcing in
one pass".)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from thinkpace.engine import Sampling
from thinkpace.processors.core.edit import Edit
from thinkpace.processors.core.program import Program
from thinkpace.processors.core.replay import DrawHistory
from thinkpace.types import Event


class SharedPrefix(NamedTuple):
    """The prefix that two runs share."""

    tokens: tuple[int, ...]  #: output ids
    history: DrawHistory  #: what the model drew along them


def replaced_draws(events: Sequence[Event]) -> dict[int, int]:
    """Output index -> the id that the model drew, for outputs where a control replaced it by another id."""
    return {event.at: event.tokens[0] for event in events if event.what in ("replaced", "redrew")}


def shared_prefix(
    under: Program,
    trace: Sequence[int],
    events: Sequence[Event],
    trace_program: Program,
    prompt: Sequence[int],
    sampling: Sampling,
) -> SharedPrefix:
    """The prefix that a finished trace shares with a run under another program.

    Args:
        under: the program of the run to be generated.
        trace: output ids of a finished generation.
        events: of its receipt.
        trace_program: the program that the trace was generated under.
        prompt: of both.
        sampling: of both.

    Returns:
        The tokens that need not be generated. The last one may differ from the trace: the draw is known, and the other
        program maps it to another token.
    """
    state, trace_state = under.start(prompt), trace_program.start(prompt)
    replaced, taken_back = replaced_draws(events), {event.at for event in events if event.what == "took back"}
    tokens, drawn = list[int](), dict[int, int]()
    for at, token in enumerate(trace):
        if at in taken_back:  # what was drawn there is in no token of the trace
            break
        if state.wants or trace_state.wants or state.track.ended:
            break
        raw = replaced.get(at, token)
        if state.edit == trace_state.edit and state.script == trace_state.script:
            shared: int | None = token
        elif trace_state.script is not None or not reveals_draw(trace_state.edit, sampling):
            shared = None
        else:
            shared = token_under_edit(state.edit, raw)
        if shared is None:
            break
        tokens.append(shared)
        if shared != raw:
            drawn[at] = raw
        if shared != token:
            break
        state = under.step(state, token, drawn.get(at))
        if (marker := state.take_back) is not None:  # the other run goes on from before this close
            del tokens[len(tokens) - len(marker.ids) :]
            drawn = {place: raw for place, raw in drawn.items() if place < len(tokens)}
            return SharedPrefix(tuple(tokens), DrawHistory(drawn, taken_back={len(tokens): (marker,)}))
        trace_state = trace_program.step(trace_state, token, replaced.get(at))
    return SharedPrefix(tuple(tokens), DrawHistory(drawn))


def reveals_draw(edit: Edit, sampling: Sampling) -> bool:
    """Whether the token under an edit reveals the draw: the edit at most moves probability, and no filter applies."""
    return edit.only is None and not (edit.ban or edit.redraw or edit.bias or sampling.filters)


def token_under_edit(edit: Edit, raw: int) -> int | None:
    """The token that an edit yields where the model drew `raw`; None if it has to be drawn anew.

    A ban keeps the proportions of the tokens that it allows: an allowed draw stays, a banned one is drawn again.
    """
    if edit.only is not None or edit.redraw or edit.bias or raw in edit.ban:
        return None
    return edit.redirect.get(raw, raw)
