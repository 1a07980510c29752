"""Several processors as one."""

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
)
from thinkpace.processors.core.edit import KEEP, KNOWN_EDITS, Edit
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.tracker import Track

States = tuple[Any, ...]


class Chain(Processor[States]):
    """Processors whose edits apply one after the other; the state is the tuple of theirs. Made by `chain`."""

    __slots__ = ("_composed", "_unions", "_wanting", "names", "parts")

    def __init__(self, parts: tuple[Processor[Any], ...], names: tuple[str, ...]) -> None:
        self.parts = parts
        self.names = names
        self._unions: dict[tuple[int, ...], tuple[list[frozenset[int]], frozenset[int]]] = {}  # of sets that are heeded
        #: which parts may need a number at all
        self._wanting = [i for i, part in enumerate(parts) if type(part).wants is not Processor.wants]
        # edits are few objects used again and again, and composing large ones takes a while: (a, b) -> (a, b, a then b)
        self._composed: dict[tuple[int, int], tuple[Edit, Edit, Edit]] = {}

    def __reduce__(self) -> tuple[type[Chain], tuple[tuple[Processor[Any], ...], tuple[str, ...]]]:
        return Chain, (self.parts, self.names)

    def init(self, track: Track) -> States:
        return tuple([part.init(track) for part in self.parts])

    def observe(self, state: States, before: Track, after: Track, token: int, drawn: int) -> States:
        return tuple(
            [part.observe(own, before, after, token, drawn) for part, own in zip(self.parts, state, strict=True)]
        )

    def decide(self, state: States, track: Track) -> Decision:
        edit, edited = KEEP, list[str]()
        script: Script | None = None
        close: str | None = None
        writer = ""
        for part, name, own in zip(self.parts, self.names, state, strict=True):
            decision = part.decide(own, track)
            if decision is KEEP:
                continue
            if isinstance(decision, Script):
                if script is not None and decision.ids != script.ids:
                    raise NoLegalToken(f"{writer} and {name} want to write different phrases at the same place")
                script, writer = script or decision, writer or name
                continue
            if isinstance(decision, Close):
                close = close or decision.why
                decision = decision.otherwise
            try:
                edit = self._then(edit, decision)
            except NoLegalToken:
                raise NoLegalToken(f"{name} leaves no token after {', '.join(edited)}") from None
            edited.append(name)
        if script is not None:
            return script
        return edit if close is None else Close(close, edit)

    def _then(self, first: Edit, second: Edit) -> Edit:
        if first is KEEP or second is KEEP:
            return first.then(second)
        known = self._composed.get((id(first), id(second)))
        if known is None:
            if len(self._composed) > KNOWN_EDITS:
                self._composed.clear()
            known = self._composed[id(first), id(second)] = (first, second, first.then(second))
        return known[2]

    def explain(self, state: States, before: Track, token: int, drawn: int) -> str:
        for part, own in zip(self.parts, state, strict=True):
            if why := part.explain(own, before, token, drawn):
                return why
        return ""

    def wants(self, state: States, track: Track) -> frozenset[RowStatistic]:
        found = NOTHING
        for i in self._wanting:
            found |= self.parts[i].wants(state[i], track)
        return found

    def receive(self, state: States, track: Track, statistics: Statistics) -> States:
        return tuple([part.receive(own, track, statistics) for part, own in zip(self.parts, state, strict=True)])

    def idle_tokens(self, state: States, track: Track) -> int:
        least = FOREVER
        for part, own in zip(self.parts, state, strict=True):
            idle = part.idle_tokens(own, track)
            if idle <= 0:
                return 0
            if idle < least:
                least = idle
        return least

    def wake_tokens(self, state: States, track: Track) -> frozenset[int]:
        sets = [part.wake_tokens(own, track) for part, own in zip(self.parts, state, strict=True)]
        key = tuple(map(id, sets))
        known = self._unions.get(key)
        if known is None:
            known = self._unions[key] = (sets, NO_TOKENS.union(*sets))
        return known[1]

    def skip(self, state: States, track: Track, tokens: Sequence[int]) -> States:
        return tuple([part.skip(own, track, tokens) for part, own in zip(self.parts, state, strict=True)])


def chain(*processors: Processor[Any], names: tuple[str, ...] = ()) -> Chain:
    """One processor that does what these do, in their order.

    A phrase that one of them writes goes before the end of thinking that another asks for, and both before all edits.
    `chain()` changes nothing, and chaining is associative.

    Args:
        processors: compiled for the same vocabulary.
        names: what to call them in messages; default: their positions.

    Raises:
        NoLegalToken: while deciding, if they leave no token or want to write different phrases; it names them.
    """
    return Chain(processors, names or tuple(f"control {i + 1}" for i in range(len(processors))))
