"""`LoopBreaker`: detect repetition in thinking and close it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from thinkpace.processors.budgeting.closer import Closer
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.decisions import FOREVER, Close, Decision
from thinkpace.processors.core.edit import KEEP
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.tracker import Track
from thinkpace.processors.core.validators import checked_count
from thinkpace.types import Phase

STRIDE = 32  # thinking tokens between two checks


@dataclass(frozen=True, slots=True, repr=False)
class LoopBreaker(Closer):
    """Close thinking when it repeats itself.

    A loop is one sequence of at most `max_period` tokens that occurs at least `repeats` times in a row and covers at
    least `min_tokens` tokens, directly before the current position. Ids are compared, and all must be equal. The check
    runs every 32 thinking tokens of a block.

    Args:
        repeats: minimum number of repetitions in a row, 2 or more.
        max_period: maximum length of the repeated sequence in tokens, 1 or more.
        min_tokens: minimum length of a loop in tokens, 1 or more, so that a row of zeros in a table does not count.

    Raises:
        TypeError, ValueError: for numbers out of range.

    >>> LoopBreaker()
    LoopBreaker()

    Source: ours. Forced thinking ends in loops (s1, arXiv 2501.19393 v3, section 4), and repetition penalties change
    the text before there is any loop.
    """

    repeats: int = 4
    max_period: int = 128
    min_tokens: int = 48

    phases: ClassVar[tuple[str, ...]] = ("thinking",)

    def __post_init__(self) -> None:
        checked_count("repeats", self.repeats, 2)
        checked_count("max_period", self.max_period, 1)
        checked_count("min_tokens", self.min_tokens, 1)

    def compile(self, binding: Binding) -> LoopBreakerMachine:
        return LoopBreakerMachine(self)


def period(tokens: Sequence[int], repeats: int, max_period: int, min_tokens: int) -> int:
    """Length of the shortest sequence that repeats at the end, `repeats` times and over `min_tokens`; 0 for none.

    >>> period([9, 1, 2, 1, 2, 1, 2], 3, 5, 4), period([1, 2, 1, 2], 3, 5, 4)
    (2, 0)
    """
    for length in range(1, min(max_period, len(tokens) - 1) + 1):
        if tokens[-1 - length] != tokens[-1]:
            continue
        covered = length * max(repeats, -(-min_tokens // length))
        if covered <= len(tokens) and tokens[-covered + length :] == tokens[-covered:-length]:
            return length
    return 0


class LoopBreakerState(NamedTuple):
    """State of one sequence under `LoopBreaker`."""

    tail: tuple[int, ...] = ()  #: the last tokens of the block
    seen: int = 0  #: number of tokens of the block
    looping: bool = False  #: whether the tail ended in a loop at the last check


class LoopBreakerMachine(Processor[LoopBreakerState]):
    """The processor of `LoopBreaker`."""

    __slots__ = ("control", "window")

    def __init__(self, control: LoopBreaker) -> None:
        self.control = control
        self.window = max(control.repeats * control.max_period, control.min_tokens + control.max_period)

    def init(self, track: Track) -> LoopBreakerState:
        return LoopBreakerState()

    def observe(self, state: LoopBreakerState, before: Track, after: Track, token: int, drawn: int) -> LoopBreakerState:
        if after.phase is not Phase.THINKING:
            return LoopBreakerState()
        return self.skip(state, before, (token,))

    def skip(self, state: LoopBreakerState, track: Track, tokens: Sequence[int]) -> LoopBreakerState:
        if track.phase is not Phase.THINKING:
            return LoopBreakerState()
        tail, seen = (*state.tail, *tokens)[-self.window :], state.seen + len(tokens)
        if seen % STRIDE:
            return LoopBreakerState(tail, seen, state.looping)
        control = self.control
        looping = period(tail, control.repeats, control.max_period, control.min_tokens) > 0
        return LoopBreakerState(tail, seen, looping)

    def decide(self, state: LoopBreakerState, track: Track) -> Decision:
        return Close("loop") if state.looping and track.phase is Phase.THINKING else KEEP

    def idle_tokens(self, state: LoopBreakerState, track: Track) -> int:
        if track.phase is not Phase.THINKING:
            return FOREVER
        return 0 if state.looping else STRIDE - 1 - state.seen % STRIDE
