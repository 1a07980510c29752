"""Counterfactual replay: how much of one generation would have come under other controls too.

A long trace under one list of controls is followed by the program of another list. As long as both would have let the
same token come, the other run is the same run; where they part, only the rest has to be generated. For budgets that is
the answer after an earlier close; for waits it is what follows a close that the long trace did not have.

What the model drew at a token is known from the trace: the token itself, or what a control replaced by it. A token
that was written tells nothing of what would have been drawn, and a bias or a filter changes the draw itself: there the
two part. The joint distribution is a coupling: each run by itself is distributed as if it had been made alone, and
equal to it where decoding is greedy. (Own method; the coupling of a moved probability is that of docs/architecture.md,
"Budget forcing in one pass".)
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
    """The beginning that two runs share. Args: tokens: output ids. told: what was drawn along them."""

    tokens: tuple[int, ...]
    history: DrawHistory


def replaced_draws(events: Sequence[Event]) -> dict[int, int]:
    """Where another id came than the model drew: output index -> the id it drew."""
    return {event.at: event.tokens[0] for event in events if event.what in ("replaced", "redrew")}


def shared_prefix(
    under: Program,
    trace: Sequence[int],
    events: Sequence[Event],
    trace_program: Program,
    prompt: Sequence[int],
    sampling: Sampling,
) -> SharedPrefix:
    """The beginning of a trace that is a beginning of a run under another program too.

    Args:
        under: the program of the run to be made.
        trace: output ids of a finished generation.
        events: of its receipt.
        trace_program: the program it was made under.
        prompt: of both.
        sampling: of both.

    Returns:
        The tokens that need not be generated; the last of them may be one that the trace does not have, where it is
        known what the model drew.
    """
    own, other = under.start(prompt), trace_program.start(prompt)
    known = replaced_draws(events)
    tokens, drawn = list[int](), dict[int, int]()
    for at, token in enumerate(trace):
        if own.wants or other.wants or own.track.ended:
            break
        raw = known.get(at, token)
        if own.edit == other.edit and own.script == other.script:
            comes: int | None = token
        elif other.script is not None or not reveals_draw(other.edit, sampling):
            comes = None
        else:
            comes = token_under_edit(own.edit, raw)
        if comes is None:
            break
        tokens.append(comes)
        if comes != raw:
            drawn[at] = raw
        if comes != token:
            break
        own = under.step(own, token, drawn.get(at))
        other = trace_program.step(other, token, known.get(at))
    return SharedPrefix(tuple(tokens), DrawHistory(drawn))


def reveals_draw(edit: Edit, sampling: Sampling) -> bool:
    """Whether what came under an edit tells what the model drew: it only moves probability, and nothing filters it."""
    return edit.only is None and not (edit.ban or edit.redraw or edit.bias or sampling.filters)


def token_under_edit(edit: Edit, raw: int) -> int | None:
    """The token that comes under an edit where the model drew `raw`; None if that is drawn anew.

    A ban keeps the share of what it does not bar: such a token comes all the same, and a barred one is drawn again.
    """
    if edit.only is not None or edit.redraw or edit.bias or raw in edit.ban:
        return None
    return edit.redirect.get(raw, raw)
