"""`WaitLimit`: close thinking after a number of waits, however "Wait" is spelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from thinkpace import Phase
from thinkpace.processors import (
    FOREVER,
    KEEP,
    PHRASE_START,
    Binding,
    Close,
    Closer,
    Decision,
    Processor,
    Track,
    checked_count,
    phrases,
)


@dataclass(frozen=True, slots=True, repr=False)
class WaitLimit(Closer):
    """Close the thinking block right after the `max_waits`-th "Wait", whole words in any case and spelling.

    Args:
        max_waits: at most, 1 or more, all blocks of thinking together; those that a control writes count too.

    Raises:
        TypeError, ValueError: for a number out of range.
    """

    max_waits: int = 3

    phases: ClassVar[tuple[str, ...]] = ("thinking",)

    def __post_init__(self) -> None:
        checked_count("max_waits", self.max_waits, 1)

    def compile(self, binding: Binding) -> WaitLimitMachine:
        return WaitLimitMachine(self.max_waits, binding)


class WaitLimitState(NamedTuple):
    """What is remembered of a sequence."""

    cursor: int = PHRASE_START  #: in the automaton of phrases
    waits: int = 0  #: so far


class WaitLimitMachine(Processor[WaitLimitState]):
    """The processor of `WaitLimit`."""

    __slots__ = ("most", "phrases")
    device_form = "own_control.device:DeviceWaitLimit"  # for engines that keep tokens on the device

    def __init__(self, most: int, binding: Binding) -> None:
        self.most = most
        self.phrases = phrases(binding.vocabulary, ("wait",), apart=binding.markers.single)

    def init(self, track: Track) -> WaitLimitState:
        return WaitLimitState()

    def observe(self, state: WaitLimitState, before: Track, after: Track, token: int, drawn: int) -> WaitLimitState:
        if after.phase is not Phase.THINKING:
            return state
        if before.phase is not Phase.THINKING:
            return WaitLimitState(waits=state.waits)
        cursor, found = self.phrases.step(state.cursor, token)
        return WaitLimitState(cursor, state.waits + (found is not None))

    def decide(self, state: WaitLimitState, track: Track) -> Decision:
        over = track.phase is Phase.THINKING and state.waits >= self.most
        return Close("waits") if over else KEEP

    # Optional: between two words nothing changes, and prose need not be observed token by token.

    def idle_tokens(self, state: WaitLimitState, track: Track) -> int:
        if track.phase is not Phase.THINKING:
            return FOREVER
        return FOREVER if state.waits < self.most and self.phrases.is_idle(state.cursor) else 0

    def wake_tokens(self, state: WaitLimitState, track: Track) -> frozenset[int]:
        return self.phrases.wake_inside_word
