"""Maps the rows of an engine's batch to sequences: shared by all engines.

An engine may add, drop, move, swap and reorder rows in any order and number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from thinkpace.adapters.sequences.sequence_log import SequenceLog

S = TypeVar("S")


class Slots(Generic[S]):
    """Rows of an engine's batch, each holding a sequence or nothing."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Iterable[S] = ()) -> None:
        self._rows: dict[int, S] = dict(enumerate(rows))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> S:
        return self._rows[row]

    def get(self, row: int) -> S | None:
        return self._rows.get(row)

    def items(self) -> list[tuple[int, S]]:
        """(row, sequence) of the occupied rows, by row."""
        return sorted(self._rows.items())

    def add(self, row: int, sequence: S) -> None:
        """Put a sequence into a row, replacing any other."""
        self._rows[row] = sequence

    def drop(self, row: int) -> None:
        """Empty a row, which may be empty already."""
        self._rows.pop(row, None)

    def move(self, source: int, target: int) -> None:
        """Move the content of `source` to `target`; an empty `source` empties `target`."""
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

    def reorder(self: Slots[SequenceLog], sources: Sequence[int]) -> None:
        """Row i now holds what row `sources[i]` held; a sequence used several times is forked."""
        before, taken = self._rows, set[int]()
        self._rows = {}
        for row, source in enumerate(sources):
            if source in before:
                self._rows[row] = before[source].fork() if source in taken else before[source]
                taken.add(source)
