"""Types that describe a generation: phases, token counts by kind, and the receipt."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import IntEnum
from html import escape
from typing import Any, Literal


class Phase(IntEnum):
    """The phase of a sequence. An integer, so that a tensor can hold it."""

    PROMPT = 0  #: not generated: no output token has this phase
    THINKING = 1  #: inside the thinking block
    CLOSING = 2  #: the closing sequence is being written for the model
    ANSWER = 3  #: outside any thinking block: before it opens, or after it closed


#: how thinking ended; see `Receipt`
End = Literal["natural", "forced", "eos", "open", "none"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one generation; every token is counted once.

    Args:
        prompt: tokens of the prompt, padding excluded.
        thinking: thinking tokens that the model drew.
        forced: tokens written for the model: waits, the close, the final text.
        marker: tokens of markers (open, close) that the model wrote by itself.
        answer: all other tokens that it drew, the end-of-sequence token included.
        probe: tokens generated in trials and discarded; not part of the output.
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
        """Number of output tokens, as the engine itself would report it."""
        return self.thinking + self.forced + self.marker + self.answer


@dataclass(frozen=True, slots=True)
class Event:
    """One action of a control.

    Args:
        at: index of the output token where it started.
        what: "wrote" (a phrase was written), "replaced" (a token the model drew was replaced by another one),
            "redrew" (a token the model drew was refused and another one drawn), "took back" (a marker that the model
            wrote was taken out of the output again), "held" (a close waits from here for the end of a span), or
            "diverged" (the engine appended another token than the one that was being written).
        why: the reason that the control gives: "limit", "reserve", "wait", "final", ...
        tokens: the ids written or taken back, or (drawn, emitted) for "replaced" and "redrew", (wanted, emitted) for
            "diverged".
    """

    at: int
    what: Literal["wrote", "replaced", "redrew", "took back", "held", "diverged"]
    why: str
    tokens: tuple[int, ...]


_EXTENSIONS = {
    ("replaced", "wait"),
    ("redrew", "ignored close"),
    ("took back", "wait"),
    ("took back", "ignored close"),
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """The controls of one sequence, and what they did.

    Args:
        armed: the controls, as they print.
        events: the actions of the controls, in order.
        usage: token counts by kind.
        thinking_tokens: what a budget counts: thinking and injected tokens, markers excluded.
        end: how thinking ended: "natural", "forced", "eos" (the model ended the sequence inside thinking, and the close
            was written in place of that end), "open" (never closed), or "none" (never opened).
        finished: whether the sequence ended by itself (end-of-sequence token), not by the token limit.
        enforced_by: what enforced the limits: "thinkpace", or the engine with its own means.
        notes: what was asked for and could not act, as sentences; empty if all controls could.
    """

    armed: tuple[str, ...]
    events: tuple[Event, ...]
    usage: Usage
    thinking_tokens: int
    end: End
    finished: bool
    enforced_by: str = "thinkpace"
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The receipt as a JSON object, with its fields by name."""
        return asdict(self)

    @property
    def held(self) -> Literal["held", "not held"]:
        """Whether every control could act: "held", or "not held" with the reasons in `notes`."""
        return "not held" if self.notes else "held"

    def _repr_html_(self) -> str:
        """For notebooks: the counts, then one line per event."""
        usage = ", ".join(f"{name} {count}" for name, count in asdict(self.usage).items() if count)
        rows = [
            ("controls", " + ".join(self.armed) or "none"),
            ("thinking tokens", str(self.thinking_tokens)),
            ("end", f"thinking {self.end}, sequence {'finished' if self.finished else 'at its limit'}"),
            ("tokens", usage),
            *((f"token {event.at}", f"{event.what} ({event.why})") for event in self.events),
            *(("note", note) for note in self.notes),
        ]
        cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows)
        return f"<table>{cells}</table>"

    @property
    def waits(self) -> int:
        """Number of closes that were extended, with or without a text."""
        return sum((event.what, event.why) in _EXTENSIONS for event in self.events)

    @property
    def diverged(self) -> int:
        """Number of times the engine appended another token than the one that was being written."""
        return sum(event.what == "diverged" for event in self.events)
