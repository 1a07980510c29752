"""An edit as arrays: which ids are written, and what each is made of. For writers of batches and of single rows."""

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
    """The ids that are written: those that keep their weight, then those that are merged, then those that are dropped.

    Args:
        kept: how many keep their weight.
        made: the ids that are merged.
        ids: all of them, shape (cells,).
        sources: what they are made of, shape (sources,), in the order of their cells; the dropped have none.
        biases: of the sources.
        owners: the place in `ids` of every source.
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
        edit: what is done.
        without: merged ids to leave out.
        dropped: whether the ids that lose all their weight are among them.
    """
    single = np.array(sorted(edit.kept), dtype=np.int64)
    made = [(i, sources) for i, sources in edit.merged.items() if i not in without]
    pairs = [pair for _, sources in made for pair in sources]
    counts = [len(sources) for _, sources in made]
    gone = np.array(sorted(edit.dropped) if dropped else [], dtype=np.int64)
    return EditArrays(
        len(single),
        tuple(i for i, _ in made),
        np.concatenate((single, np.array([i for i, _ in made], dtype=np.int64), gone)),
        np.concatenate((single, np.array([i for i, _ in pairs], dtype=np.int64))),
        np.concatenate((np.zeros(len(single), np.float32), np.array([b for _, b in pairs], dtype=np.float32))),
        np.concatenate((np.arange(len(single)), np.repeat(np.arange(len(made)) + len(single), counts))),
    )


class PerEditCache(Generic[T]):
    """What was made of edits, which are few objects used again and again.

    Args:
        make: of an edit.
        most: how many are kept.
    """

    __slots__ = ("_known", "_make", "_most")

    def __init__(self, make: Callable[[Edit], T], most: int = KNOWN_EDITS) -> None:
        self._make = make
        self._most = most
        self._known: dict[int, tuple[Edit, T]] = {}

    def __call__(self, edit: Edit) -> T:
        known = self._known.get(id(edit))
        if known is None:
            if len(self._known) >= self._most:
                self._known.clear()
            known = self._known[id(edit)] = (edit, self._make(edit))
        return known[1]
