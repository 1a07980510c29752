"""What the machines want of the next token of many rows: the decisions of `processors.base`, in columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch

from thinkpace.adapters.device.columns import Columns, Ids, Mask, of_host
from thinkpace.adapters.device.tables import Masks, PhrasesTable, Sets, bounded, known_ids
from thinkpace.processors.core.decisions import Kind, Script
from thinkpace.processors.text.phrases import Phrases
from thinkpace.processors.text.vocabulary import Vocabulary

#: of every kind of number that some row wants: the numbers, and which rows want one
Known = Mapping[Kind, tuple[torch.Tensor, Mask]]


_NOTHING = torch.empty(0)


@dataclass(frozen=True, slots=True, eq=False)
class Write:
    """One step of an edit, as in `Edit`.

    Args:
        kind: what is done to the tokens of a set.
        sets: that `which` speaks of; masks for "only".
        which: the number of the set, per row; 0 leaves the row alone, for "only" too.
        value: for "bias" what is added, for "redirect" the id that gains, per row.
    """

    kind: Literal["ban", "redraw", "bias", "redirect", "only"]
    sets: Sets | Masks
    which: Ids
    value: torch.Tensor = _NOTHING

    def where(self, mask: Mask) -> Write:
        """This write in some rows only."""
        return Write(self.kind, self.sets, torch.where(mask, self.which, 0), self.value)


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """A decision in columns.

    Args:
        writes: the edit, one after the other.
        script: the number of a phrase to write, per row; -1 for none.
        close: whether thinking is to end.
        torn: where two machines want to write different phrases.
    """

    script: Ids
    close: Mask
    torn: Mask
    writes: tuple[Write, ...] = ()


@dataclass(frozen=True, eq=False)
class Book:
    """What the machines of one program enter while they are built.

    Args:
        vocabulary: of the program.
        device: where its tables are.
        scripts: that are written; a number is a place in it.
        tables: of phrases, which machines share.
    """

    vocabulary: Vocabulary
    device: torch.device
    scripts: list[Script] = field(default_factory=list)
    tables: dict[int, PhrasesTable] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Ids that tables have columns for."""
        return known_ids(self.vocabulary)

    def script(self, script: Script | None) -> int:
        """The number of a phrase, whatever it is written for; -1 for none."""
        if script is None:
            return -1
        script = replace(script, why="")
        if script not in self.scripts:
            self.scripts.append(script)
        return self.scripts.index(script)

    def phrases(self, phrases: Phrases) -> PhrasesTable:
        """The table of some phrases."""
        if id(phrases) not in self.tables:
            self.tables[id(phrases)] = PhrasesTable(phrases, self.size, self.device)
        return self.tables[id(phrases)]

    def sets(self) -> Sets:
        """Sets of tokens, of the caller's own: all of them take the room of the largest."""
        return Sets(self.size, self.device)

    def ids(self, *numbers: int) -> Ids:
        """Numbers as a tensor."""
        return torch.tensor([bounded(number) for number in numbers], device=self.device)


class Machine(ABC):
    """A processor in columns; what its methods take and give is as in `Processor`, for many rows."""

    def columns(self, states: Sequence[Any], device: torch.device) -> Columns:
        """The host's states, a row each."""
        return of_host(states, device)

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        """The states after one more token each."""
        return state

    def wants(self, state: Columns, track: Columns) -> Mapping[Kind, Mask]:
        """The rows where it needs a number before it decides."""
        return {}

    def inform(self, state: Columns, track: Columns, known: Known) -> Columns:
        """The states with the numbers they wanted."""
        return state

    @abstractmethod
    def decide(self, state: Columns, track: Columns) -> Wish:
        """What is to happen to the next tokens."""


def wish(track: Columns, *writes: Write, script: Ids | None = None, close: Mask | None = None) -> Wish:
    """A wish of which only a part is given."""
    never = torch.zeros_like(track.ended)
    return Wish(
        torch.full_like(track.phase, -1) if script is None else script,
        never if close is None else close,
        never,
        writes,
    )
