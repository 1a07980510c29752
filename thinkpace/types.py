"""What a generation is made of: phases, tokens by kind, and the receipt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal


class Phase(IntEnum):
    """Where a sequence stands. An integer, so that a tensor form can hold it in a register."""

    PROMPT = 0  #: not generated: nothing of the output carries this phase
    THINKING = 1  #: inside the thinking block
    CLOSING = 2  #: the closing sequence is being written for the model
    ANSWER = 3  #: outside of any thinking block: before it opens, or after it closed


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one generation, each counted once.

    Args:
        prompt: tokens of the prompt, padding excluded.
        thinking: thinking tokens the model drew.
        forced: tokens written for the model: waits, the close, the final text.
        marker: tokens of markers (open, close) the model wrote by itself.
        answer: everything else it drew, the end-of-sequence token included.
        probe: tokens generated in trials and thrown away; no part of the output.
        reread: tokens of the prompt and the output that were read again for trials.
    """

    prompt: int = 0
    thinking: int = 0
    forced: int = 0
    marker: int = 0
    answer: int = 0
    probe: int = 0
    reread: int = 0

    @property
    def completion(self) -> int:
        """All tokens of the output: what the engine itself would report."""
        return self.thinking + self.forced + self.marker + self.answer


@dataclass(frozen=True, slots=True)
class Event:
    """Something a control did.

    Args:
        at: index into the output tokens where it began.
        what: "wrote" (a phrase was written), "replaced" (a token the model drew became another one),
            "redrew" (a token the model drew was refused and another one drawn), or "diverged" (the engine
            did not take the token that was being written).
        why: the reason, in the control's own words: "limit", "reserve", "wait", "final", ...
        tokens: the ids written, or (drawn, emitted) for "replaced" and "redrew", (wanted, emitted) for "diverged".
    """

    at: int
    what: Literal["wrote", "replaced", "redrew", "diverged"]
    why: str
    tokens: tuple[int, ...]


_EXTENSIONS = {("replaced", "wait"), ("redrew", "ignored close")}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the controls were, and what they did to one sequence.

    Args:
        armed: the controls, as they print.
        events: what fired, in order.
        usage: tokens by kind.
        thinking_tokens: what a budget counts: thinking tokens with the injected ones, markers excluded.
        end: how thinking ended: "natural", "forced", "open" (never closed), or "none" (never opened).
        finished: whether the sequence ended by itself (end-of-sequence token), not by the token limit.
        enforced_by: who held the limits: "thinkpace", or the engine with means of its own.
    """

    armed: tuple[str, ...]
    events: tuple[Event, ...]
    usage: Usage
    thinking_tokens: int
    end: Literal["natural", "forced", "open", "none"]
    finished: bool
    enforced_by: str = "thinkpace"

    @property
    def waits(self) -> int:
        """How often a close was turned into going on, with or without a text."""
        return sum((event.what, event.why) in _EXTENSIONS for event in self.events)

    @property
    def diverged(self) -> int:
        """How often the engine did not take a token that was being written."""
        return sum(event.what == "diverged" for event in self.events)
