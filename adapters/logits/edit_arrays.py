"""An edit as arrays: the ids to write and the sources of each, for writers of batches and of single rows."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from thinkpace.processors.core.edit import KNOWN_EDITS, Edit

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EditArrays:
    """The ids to write: first those that keep their weight, then merged ids, then dropped ids.

    Args:
        kept: number of ids that keep their weight.
        made: the merged ids.
        ids: all ids to write, shape (cells,).
        sources: the ids that they get their weight from, shape (sources,), in the order of `ids`; dropped ids have
            none.
        biases: bias of each source.
        owners: for each source the index in `ids` that it belongs to.
    """

    kept: int
    made: tuple[int, ...]
    ids: Ids
    sources: Ids
    biases: Floats
    owners: Ids


def cells(edit: Edit, *, without: Collection[int] = (), dropped: bool = True) -> EditArrays:
    """The arrays of an edit.

    Args:
        edit: the edit.
        without: merged ids to leave out.
        dropped: whether to include dropped ids.
    """
    single = np.array(sorted(edit.kept), dtype=np.int64)
    merged = [(i, sources) for i, sources in edit.merged.items() if i not in without]
    pairs = [pair for _, sources in merged for pair in sources]
    counts = [len(sources) for _, sources in merged]
    removed = np.array(sorted(edit.dropped) if dropped else [], dtype=np.int64)
    return EditArrays(
        len(single),
        tuple(i for i, _ in merged),
        np.concatenate((single, np.array([i for i, _ in merged], dtype=np.int64), removed)),
        np.concatenate((single, np.array([i for i, _ in pairs], dtype=np.int64))),
        np.concatenate((np.zeros(len(single), np.float32), np.array([b for _, b in pairs], dtype=np.float32))),
        np.concatenate((np.arange(len(single)), np.repeat(np.arange(len(merged)) + len(single), counts))),
    )


class PerEditCache(Generic[T]):
    """Caches a value per edit object; edits are few objects that recur.

    Args:
        make: computes the value of an edit.
        most: size limit; a full cache is cleared.
    """

    __slots__ = ("_known", "_make", "_most")

    def __init__(self, make: Callable[[Edit], T], most: int = KNOWN_EDITS) -> None:
        self._make = make
        self._most = most
        self._known: dict[int, tuple[Edit, T]] = {}

    def __call__(self, edit: Edit) -> T:
        cached = self._known.get(id(edit))
        if cached is None:
            if len(self._known) >= self._most:
                self._known.clear()
            cached = self._known[id(edit)] = (edit, self._make(edit))
        return cached[1]
