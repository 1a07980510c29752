"""Combine several processors into one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thinkpace.errors import NoLegalToken
from thinkpace.processors.core.decisions import (
    FOREVER,
    NO_TOKENS,
    NOTHING,
    Close,
    Decision,
    RowStatistic,
    Script,
    Statistics,
    TakeBack,
)
from thinkpace.processors.core.edit import KEEP, KNOWN_EDITS, Edit
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.tracker import Track
from thinkpace.processors.text.vocabulary import TokenIds

States = tuple[Any, ...]


class Chain(Processor[States]):
    """Applies the edits of several processors in order; its state is the tuple of their states. Built by `chain`."""

    __slots__ = ("_composed", "_unions", "_wanting", "names", "parts")

    def __init__(self, parts: tuple[Processor[Any], ...], names: tuple[str, ...]) -> None:
        self.parts = parts
        self.names = names
        self._unions: dict[
            tuple[int, ...], tuple[list[frozenset[int]], frozenset[int]]
        ] = {}  # unions of wake token sets
        #: indices of the parts that may request row statistics
        self._wanting = [i for i, part in enumerate(parts) if type(part).wants is not Processor.wants]
        # few edit objects recur, and composing large ones is slow: ids of (a, b) -> (a, b, a then b)
        self._composed: dict[tuple[int, int], tuple[Edit, Edit, Edit]] = {}

    def __reduce__(self) -> tuple[type[Chain], tuple[tuple[Processor[Any], ...], tuple[str, ...]]]:
        return Chain, (self.parts, self.names)

    def init(self, track: Track) -> States:
        return tuple([part.init(track) for part in self.parts])

    def read(self, state: States, prompt: Sequence[int]) -> States:
        return tuple([part.read(inner, prompt) for part, inner in zip(self.parts, state, strict=True)])

    def observe(self, state: States, before: Track, after: Track, token: int, drawn: int) -> States:
        return tuple(
            [part.observe(inner, before, after, token, drawn) for part, inner in zip(self.parts, state, strict=True)]
        )

    def decide(self, state: States, track: Track) -> Decision:
        edit, edited = KEEP, list[str]()
        take_back: TakeBack | None = None
        script: Script | None = None
        close: Close | None = None
        writer = ""
        for part, name, inner in zip(self.parts, self.names, state, strict=True):
            decision = part.decide(inner, track)
            if decision is KEEP:
                continue
            if isinstance(decision, TakeBack):
                take_back = decision
                continue
            if isinstance(decision, Script):
                if script is not None and decision.ids != script.ids:
                    raise NoLegalToken(f"{writer} and {name} want to write different phrases at the same place")
                script, writer = script or decision, writer or name
                continue
            if isinstance(decision, Close):
                if close is None or (close.script is None is not decision.script):
                    close = decision
                decision = decision.otherwise
            try:
                edit = self._then(edit, decision)
            except NoLegalToken:
                raise NoLegalToken(f"{name} leaves no token after {', '.join(edited)}") from None
            edited.append(name)
        if take_back is not None:
            return take_back
        if script is not None:
            return script
        return edit if close is None else Close(close.why, edit, close.script)

    def _then(self, first: Edit, second: Edit) -> Edit:
        if first is KEEP or second is KEEP:
            return first.then(second)
        cached = self._composed.get((id(first), id(second)))
        if cached is None:
            if len(self._composed) > KNOWN_EDITS:
                self._composed.clear()
            cached = self._composed[id(first), id(second)] = (first, second, first.then(second))
        return cached[2]

    def taken_back(self, state: States, track: Track, ids: TokenIds) -> States:
        return tuple([part.taken_back(inner, track, ids) for part, inner in zip(self.parts, state, strict=True)])

    def hold(self, state: States, track: Track) -> States | None:
        holds = [part.hold(inner, track) for part, inner in zip(self.parts, state, strict=True)]
        if all(held is None for held in holds):
            return None
        return tuple([inner if held is None else held for held, inner in zip(holds, state, strict=True)])

    def explain(self, state: States, before: Track, token: int, drawn: int) -> str:
        for part, inner in zip(self.parts, state, strict=True):
            if why := part.explain(inner, before, token, drawn):
                return why
        return ""

    def unmet(self, state: States, track: Track) -> str:
        parts = zip(self.parts, state, strict=True)
        return "; ".join(filter(None, (part.unmet(inner, track) for part, inner in parts)))

    def wants(self, state: States, track: Track) -> frozenset[RowStatistic]:
        wanted = NOTHING
        for i in self._wanting:
            wanted |= self.parts[i].wants(state[i], track)
        return wanted

    def receive(self, state: States, track: Track, statistics: Statistics) -> States:
        return tuple([part.receive(inner, track, statistics) for part, inner in zip(self.parts, state, strict=True)])

    def idle_tokens(self, state: States, track: Track) -> int:
        least = FOREVER
        for part, inner in zip(self.parts, state, strict=True):
            idle = part.idle_tokens(inner, track)
            if idle <= 0:
                return 0
            if idle < least:
                least = idle
        return least

    def wake_tokens(self, state: States, track: Track) -> frozenset[int]:
        sets = [part.wake_tokens(inner, track) for part, inner in zip(self.parts, state, strict=True)]
        key = tuple(map(id, sets))
        cached = self._unions.get(key)
        if cached is None:
            cached = self._unions[key] = (sets, NO_TOKENS.union(*sets))
        return cached[1]

    def skip(self, state: States, track: Track, tokens: Sequence[int]) -> States:
        return tuple([part.skip(inner, track, tokens) for part, inner in zip(self.parts, state, strict=True)])


def chain(*processors: Processor[Any], names: tuple[str, ...] = ()) -> Chain:
    """One processor that applies these processors in order.

    A phrase that one of them writes takes precedence over a close that another requests, and both take precedence over
    all edits. `chain()` changes nothing, and chaining is associative.

    Args:
        processors: compiled for the same vocabulary.
        names: their names in error messages; default: their positions.

    Raises:
        NoLegalToken: while deciding, if they leave no token or request different phrases; it names them.
    """
    return Chain(processors, names or tuple(f"control {i + 1}" for i in range(len(processors))))
