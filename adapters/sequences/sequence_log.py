"""One sequence of an engine: its tokens, its state, and enough history to return to any prefix.

A sequence can be synchronised with any tokens that the engine presents. Which ids were really drawn is stored, because
the state depends on it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Self

from thinkpace.processors.core.decisions import NO_TOKENS, RowStatistic, Statistics, TakeBack
from thinkpace.processors.core.edit import Edit
from thinkpace.processors.core.program import Program, State
from thinkpace.processors.core.replay import DrawHistory
from thinkpace.types import Receipt

#: returns the id that was really drawn, from (edit, token, output index)
Attribution = Callable[[Edit, int, int], int]


KEPT = 64  # states and attributions kept, more than any draft has tokens; older states are recomputed by replay


class SequenceLog:
    """One sequence: its tokens, its state, and enough history to return to any prefix.

    Idle tokens are only appended; the state skips over them when it is next read.

    Args:
        program: its program.
        prompt: ids, padding excluded.
        seed: for attribution.
    """

    __slots__ = (
        "_asked",
        "_attributions",
        "_states",
        "drawn",
        "idle_left",
        "marker_wake_tokens",
        "program",
        "prompt",
        "seed",
        "statistics",
        "taken_back",
        "tokens",
        "trials",
        "wake_tokens",
    )

    def __init__(self, program: Program, prompt: tuple[int, ...], seed: int = 0) -> None:
        self.program = program
        self.prompt = prompt
        self.seed = seed
        self.tokens: list[int] = []
        self.drawn: dict[int, int] = {}
        self.statistics: dict[int, Statistics] = {}
        self.taken_back: dict[int, tuple[TakeBack, ...]] = {}
        self.trials = (0, 0)  # tokens generated in trials, and tokens read again for them
        self.idle_left = 0  #: tokens that may still be appended without stepping, except wake tokens:
        self.wake_tokens, self.marker_wake_tokens = NO_TOKENS, NO_TOKENS
        self._states: deque[tuple[int, State]] = deque(maxlen=KEPT)
        self._attributions: dict[int, Attribution] = {}
        self._asked: tuple[int, State] | None  # the state that requested row statistics, before it received them
        self._begin()

    def _begin(self) -> None:
        self._states.clear()
        self._hold(0, self.program.start(self.prompt))

    def restore(self, history: DrawHistory) -> None:
        """Begin with the draw history of tokens that are appended next."""
        self.drawn.update(history.drawn)
        self.statistics.update(history.statistics)
        self.taken_back.update(history.taken_back)
        self._begin()

    def _hold(self, length: int, state: State) -> None:
        for marker in self.taken_back.get(length, ()):
            state = self.program.taken_back(state, marker.ids, marker.why)
        self._keep(length, state)

    def _keep(self, length: int, state: State) -> None:
        self._asked = None
        if length in self.statistics and state.wants:
            self._asked = length, state
            state = self.program.receive(state, self.statistics[length])
        self._states.append((length, state))
        self.idle_left = self.program.idle_tokens(state)
        if self.idle_left:
            self.wake_tokens, self.marker_wake_tokens = (
                self.program.wake_tokens(state),
                self.program.tracker.wake_tokens(state.track.phase),
            )

    @property
    def state(self) -> State:
        length, state = self._states[-1]
        if length < len(self.tokens):
            state = self.program.skip(state, self.tokens[length:])
            self._states.append((len(self.tokens), state))  # still idle for `idle_left` more tokens
        return state

    @property
    def edit(self) -> Edit:
        """The edit of the next token; idle tokens do not change it, so the state is not updated for this."""
        return self._states[-1][1].edit

    @property
    def pending(self) -> tuple[int, ...]:
        """The tokens that come next for certain; empty while row statistics are requested."""
        state = self._states[-1][1]
        return () if state.wants else state.pending

    @property
    def wants(self) -> frozenset[RowStatistic]:
        """The row statistics requested about the next token."""
        return self._states[-1][1].wants

    @property
    def pending_statistics(self) -> frozenset[RowStatistic]:
        """The row statistics requested about the next token, received or not: a row may be computed again."""
        request = self._asked
        return request[1].wants if request is not None and request[0] == len(self.tokens) else self.wants

    @property
    def close_ids(self) -> tuple[int, ...]:
        """The ids that would begin a closing marker now, or write the next token of one that is partly written."""
        return tuple(self.program.tracker.close_matcher.advances(self.state.track.cursor))

    @property
    def ended(self) -> bool:
        """Whether an end-of-sequence token was appended."""
        return self._states[-1][1].track.ended

    @property
    def history(self) -> DrawHistory:
        """The draw history: what the state depends on besides the tokens."""
        return DrawHistory(self.drawn, self.statistics, self.taken_back)

    @property
    def take_back(self) -> TakeBack | None:
        """The marker at the end of the output that must be taken back before anything else; see `retract`."""
        return self._states[-1][1].take_back

    @property
    def retractions(self) -> int:
        """Number of markers taken back so far: random numbers must not repeat after one."""
        return sum(map(len, self.taken_back.values()))

    def retract(self) -> int:
        """Take back the marker that the state asks for; returns the number of tokens taken back."""
        marker = self.take_back
        assert marker is not None
        length = len(self.tokens) - len(marker.ids)
        self.rewind(length)
        self.taken_back[length] = (*self.taken_back.get(length, ()), marker)
        _, state = self._states.pop()
        self._keep(length, self.program.taken_back(state, marker.ids, marker.why))
        return len(marker.ids)

    def record_row(self, attribution: Attribution, *, at: int | None = None, kept: int = KEPT) -> None:
        """Store the attribution of a token; a later call for the same position replaces it.

        Args:
            attribution: finds the id that was really drawn; it may hold part of the row of logits.
            at: index of the token, for a log that lacks some tokens before it; None for the next token.
            kept: number of positions to keep attributions for; 1 for sequences that never go back.
        """
        at = len(self.tokens) if at is None else at
        self._attributions[at] = attribution
        self._attributions.pop(at - kept, None)

    def receive(self, statistics: Statistics) -> None:
        """Pass the requested row statistics to the state; a later call replaces them."""
        length, state = len(self.tokens), self.state
        if self._asked is not None and self._asked[0] == length:
            state = self._asked[1]
        self.statistics[length] = statistics
        self._states.pop()
        self._keep(length, state)

    def append_idle(self, tokens: Sequence[int]) -> None:
        """Append at most `idle_left` output tokens, none of them a wake token; the state is not stepped."""
        self.idle_left -= len(tokens)
        self.tokens.extend(tokens)

    def advance(self, token: int) -> None:
        """Append one output token, stepping the state if necessary."""
        idle = self.idle_left and token not in self.wake_tokens and token not in self.marker_wake_tokens
        if idle and len(self.tokens) + 1 not in self.taken_back:
            self.idle_left -= 1
            self.tokens.append(token)
            return
        at, state = len(self.tokens), self.state
        edit = state.edit
        if state.script is None and (edit.redraw or token in edit.moved_onto):
            attribution = self._attributions.get(at)
            if attribution is not None:
                drawn = attribution(edit, token, at)
                if drawn != token:
                    self.drawn[at] = drawn
                else:
                    self.drawn.pop(at, None)
        self._follow(state, token)

    def _follow(self, state: State, token: int) -> None:
        state = self.program.step(state, token, self.drawn.get(len(self.tokens)))
        self.tokens.append(token)
        self._hold(len(self.tokens), state)

    def rewind(self, length: int) -> None:
        """Return to the first `length` output tokens."""
        if length == len(self.tokens):
            return
        prefix = self.tokens[:length]
        while self._states and self._states[-1][0] > length:
            self._states.pop()
        for past in [at for at in self.drawn if at >= length]:
            del self.drawn[past]
        for past in [at for at in self.statistics if at > length]:
            del self.statistics[past]
        for past in [at for at in self.taken_back if at > length]:
            del self.taken_back[past]
        for past in [at for at in self._attributions if at > length]:
            del self._attributions[past]  # it belonged to another prefix
        if not self._states:
            self._begin()
        at, state = self._states.pop()
        self._keep(at, state)
        self.tokens = prefix[:at]
        for token in prefix[at:]:
            self._follow(self.state, token)

    def sync(self, tokens: Sequence[int]) -> None:
        """Make the output exactly `tokens`, keeping the common prefix."""
        same = common(self.tokens, tokens)
        self.rewind(same)
        for token in tokens[same:]:
            self.advance(token)

    def fork(self) -> Self:
        """An independent copy."""
        copy = self.__class__.__new__(self.__class__)
        copy.program, copy.prompt, copy.seed = self.program, self.prompt, self.seed
        copy.tokens, copy.drawn, copy.statistics = self.tokens.copy(), self.drawn.copy(), self.statistics.copy()
        copy.taken_back = self.taken_back.copy()
        copy.trials, copy.idle_left, copy._asked = self.trials, self.idle_left, self._asked
        copy.wake_tokens, copy.marker_wake_tokens = self.wake_tokens, self.marker_wake_tokens
        copy._states, copy._attributions = self._states.copy(), self._attributions.copy()
        return copy

    def receipt(self) -> Receipt:
        generated, read = self.trials
        return self.program.receipt(self.state, len(self.prompt), self.tokens, probe=generated, reread=read)


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common prefix."""
    for i, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return i
    return min(len(one), len(other))
