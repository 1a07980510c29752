"""Machines on a device: the decisions of `processors.core.decisions`, one tensor element per row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch

from thinkpace.adapters.device.columns import Columns, Ids, Mask, from_host
from thinkpace.adapters.device.tables import Masks, PhrasesTable, Sets, bounded, known_ids
from thinkpace.processors.core.decisions import Script, Statistic
from thinkpace.processors.text.phrases import Phrases
from thinkpace.processors.text.vocabulary import Vocabulary

#: per statistic: its value for every row, and the rows in which a machine asked for it
KnownStatistics = Mapping[Statistic, tuple[torch.Tensor, Mask]]


_NOTHING = torch.empty(0)


@dataclass(frozen=True, slots=True, eq=False)
class EditStep:
    """One step of an edit, as in `Edit`.

    Args:
        kind: the kind of the step.
        sets: the token sets that `which` indexes; masks for "only".
        which: the index of the set, per row; 0 leaves the row unchanged.
        value: per row: for "bias" the number to add, for "redirect" the id that gains the mass.
    """

    kind: Literal["ban", "redraw", "bias", "redirect", "only"]
    sets: Sets | Masks
    which: Ids
    value: torch.Tensor = _NOTHING

    def where(self, mask: Mask) -> EditStep:
        """This step in the rows of `mask` only."""
        return EditStep(self.kind, self.sets, torch.where(mask, self.which, 0), self.value)


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """A decision in columns.

    Args:
        script: the phrase to write, as an index of `Tables.scripts`, per row; -1 for none.
        close: rows in which thinking must end.
        conflict: rows where two machines start different phrases.
        ending: as `script`, for a close that a machine may hold; None where none can.
        writes: the steps of the edit, in order; also where there is an `ending`, in case it is held.
    """

    script: Ids
    close: Mask
    conflict: Mask
    ending: Ids | None
    writes: tuple[EditStep, ...] = ()


@dataclass(frozen=True, eq=False)
class Tables:
    """Scripts and phrase tables that the machines of one program share. Machines add to it while they are built.

    Args:
        vocabulary: of the program.
        device: holds the tables.
        scripts: the phrases that can be written; `Decisions.script` indexes them.
        tables: phrase tables, by the identity of their host phrases.
    """

    vocabulary: Vocabulary
    device: torch.device
    scripts: list[Script] = field(default_factory=list)
    tables: dict[int, PhrasesTable] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of token ids that tables have a column for."""
        return known_ids(self.vocabulary)

    def script(self, script: Script | None) -> int:
        """The index of a phrase, added if it is new; -1 for `None`."""
        if script is None:
            return -1
        script = replace(script, why="")
        if script not in self.scripts:
            self.scripts.append(script)
        return self.scripts.index(script)

    def phrases(self, phrases: Phrases) -> PhrasesTable:
        """The table of `phrases`, built once."""
        if id(phrases) not in self.tables:
            self.tables[id(phrases)] = PhrasesTable(phrases, self.size, self.device)
        return self.tables[id(phrases)]

    def sets(self) -> Sets:
        """A new, empty collection of token sets. Memory grows with the largest set times their number."""
        return Sets(self.size, self.device)

    def ids(self, *numbers: int) -> Ids:
        """Integers as a tensor on the device."""
        return torch.tensor([bounded(number) for number in numbers], device=self.device)


class DeviceMachine(ABC):
    """The device form of a processor: the methods of `Processor`, over columns of one element per row.

    A state is the named tuple of the host with tensors of shape `[rows]` for numbers.
    """

    #: whether `hold` may hold anything
    holds: bool = False

    def columns(self, states: Sequence[Any], device: torch.device) -> Columns:
        """The states of the host as columns, one row each."""
        return from_host(states, device)

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        """The states after one more token per row."""
        return state

    def wants(self, state: Columns, track: Columns) -> Mapping[Statistic, Mask]:
        """Row statistics requested before the decision, with the rows that request them."""
        return {}

    def receive(self, state: Columns, track: Columns, known: KnownStatistics) -> Columns:
        """The states after receiving the statistics that `wants` requested."""
        return state

    def hold(self, state: Columns, track: Columns, asked: Mask) -> tuple[Columns, Mask]:
        """The states with closes held, and where they are; `asked` marks the rows where one is about to be forced."""
        return state, torch.zeros_like(asked)

    @abstractmethod
    def decide(self, state: Columns, track: Columns) -> Decisions:
        """The decision about the next token of every row."""


def decisions(
    track: Columns, *writes: EditStep, script: Ids | None = None, close: Mask | None = None, ending: Ids | None = None
) -> Decisions:
    """Decisions whose omitted parts are empty."""
    never = torch.zeros_like(track.ended)
    return Decisions(
        torch.full_like(track.phase, -1) if script is None else script,
        never if close is None else close,
        never,
        ending,
        writes,
    )
