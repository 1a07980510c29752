"""Rows to sequences: the bookkeeping that every engine needs, once.

An engine may add, drop, move, swap and reorder rows, roll them back, replay them, and call as often as it likes. A
sequence is brought to whatever tokens the engine shows now; what was drawn where is remembered, since it is part of
what the state observes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from thinkpace.processors.edit import Edit
from thinkpace.processors.program import Program, State
from thinkpace.types import Receipt

#: finds the id that was drawn, from (edit, token, output index)
Evidence = Callable[[Edit, int, int], int]
KEPT_STATES = 64  # more than any draft is long; older states are found by replay


@dataclass(slots=True)
class SequenceLog:
    """One sequence: its tokens, its state, and enough of the past to go back to any prefix.

    Args:
        program: what it is under.
        prompt: ids, padding excluded.
        seed: for drawing where a moved token came from.
    """

    program: Program
    prompt: tuple[int, ...]
    seed: int = 0
    tokens: list[int] = field(default_factory=list)
    drawn: dict[int, int] = field(default_factory=dict)
    _states: deque[State] = field(default_factory=lambda: deque(maxlen=KEPT_STATES))
    _evidence: dict[int, Evidence] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self._states:
            self._states.append(self.program.start(self.prompt))

    @property
    def state(self) -> State:
        return self._states[-1]

    def saw(self, evidence: Evidence) -> None:
        """Keep what is needed to tell where the next token came from; a later look at the same place replaces it."""
        self._evidence[len(self.tokens)] = evidence
        self._evidence.pop(len(self.tokens) - KEPT_STATES, None)

    def advance(self, token: int) -> None:
        """One more output token."""
        at, state = len(self.tokens), self.state
        edit = state.edit
        if state.script is None and (edit.redraw or token in edit.moved_onto):
            evidence = self._evidence.get(at)
            if evidence is not None:
                drawn = evidence(edit, token, at)
                if drawn != token:
                    self.drawn[at] = drawn
                else:
                    self.drawn.pop(at, None)
        self.tokens.append(token)
        self._states.append(self.program.step(state, token, self.drawn.get(at)))

    def rewind(self, length: int) -> None:
        """Back to the first `length` output tokens."""
        back = len(self.tokens) - length
        if back == 0:
            return
        del self.tokens[length:]
        if back < len(self._states):
            for _ in range(back):
                self._states.pop()
        else:
            kept, self.tokens = self.tokens, []
            self._states.clear()
            self._states.append(self.program.start(self.prompt))
            for token in kept:
                at = len(self.tokens)
                self.tokens.append(token)
                self._states.append(self.program.step(self.state, token, self.drawn.get(at)))
        for at in [at for at in self.drawn if at >= length]:
            del self.drawn[at]

    def sync(self, tokens: Sequence[int]) -> None:
        """Be at exactly these output tokens, whatever came before."""
        same = 0
        for ours, theirs in zip(self.tokens, tokens, strict=False):
            if ours != theirs:
                break
            same += 1
        self.rewind(same)
        for token in tokens[same:]:
            self.advance(token)

    def fork(self) -> SequenceLog:
        """A copy that goes its own way."""
        return SequenceLog(
            self.program,
            self.prompt,
            self.seed,
            self.tokens.copy(),
            self.drawn.copy(),
            self._states.copy(),
            self._evidence.copy(),
        )

    def receipt(self) -> Receipt:
        return self.program.receipt(self.state, len(self.prompt))


class Slots:
    """Rows of an engine's batch, each holding a sequence or nothing."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Iterable[SequenceLog] = ()) -> None:
        self._rows: dict[int, SequenceLog] = dict(enumerate(rows))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> SequenceLog:
        return self._rows[row]

    def get(self, row: int) -> SequenceLog | None:
        return self._rows.get(row)

    def items(self) -> list[tuple[int, SequenceLog]]:
        """Occupied rows in order."""
        return sorted(self._rows.items())

    def add(self, row: int, sequence: SequenceLog) -> None:
        """Put a sequence into a row; whatever was there is gone."""
        self._rows[row] = sequence

    def drop(self, row: int) -> None:
        """Empty a row; an empty one stays empty."""
        self._rows.pop(row, None)

    def move(self, source: int, target: int) -> None:
        """What was in `source` is in `target` now, emptiness included."""
        if source == target:
            return
        moved = self._rows.pop(source, None)
        if moved is None:
            self._rows.pop(target, None)
        else:
            self._rows[target] = moved

    def swap(self, one: int, other: int) -> None:
        """Exchange two rows, either of which may be empty."""
        first, second = self._rows.pop(one, None), self._rows.pop(other, None)
        if first is not None:
            self._rows[other] = first
        if second is not None:
            self._rows[one] = second

    def reorder(self, sources: Sequence[int]) -> None:
        """Row i holds what row `sources[i]` held; a row that several take is forked."""
        before, taken = self._rows, set[int]()
        self._rows = {}
        for row, source in enumerate(sources):
            if source in before:
                self._rows[row] = before[source].fork() if source in taken else before[source]
                taken.add(source)
