"""Several processors as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from thinkpace.errors import NoLegalToken
from thinkpace.processors.base import Processor, Script
from thinkpace.processors.edit import KEEP, Edit
from thinkpace.processors.phase import Track

States = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """Processors whose edits apply one after the other; the state is the tuple of theirs. Made by `chain`."""

    parts: tuple[Processor[Any], ...]
    names: tuple[str, ...]

    def init(self, track: Track) -> States:
        return tuple(part.init(track) for part in self.parts)

    def observe(self, state: States, before: Track, after: Track, token: int, drawn: int) -> States:
        return tuple(
            part.observe(own, before, after, token, drawn) for part, own in zip(self.parts, state, strict=True)
        )

    def decide(self, state: States, track: Track) -> Edit | Script:
        edit, edited = KEEP, list[str]()
        script: Script | None = None
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
            try:
                edit = edit.then(decision)
            except NoLegalToken:
                raise NoLegalToken(f"{name} leaves no token after {', '.join(edited)}") from None
            edited.append(name)
        return script or edit

    def explain(self, state: States, before: Track, token: int, drawn: int) -> str:
        for part, own in zip(self.parts, state, strict=True):
            if why := part.explain(own, before, token, drawn):
                return why
        return ""


def chain(*processors: Processor[Any], names: tuple[str, ...] = ()) -> Chain:
    """One processor that does what these do, in their order.

    A phrase that one of them writes goes before all edits. `chain()` changes nothing, and chaining is associative.

    Args:
        processors: compiled for the same vocabulary.
        names: what to call them in messages; default: their positions.

    Raises:
        NoLegalToken: while deciding, if they leave no token or want to write different phrases; it names them.
    """
    return Chain(processors, names or tuple(f"control {i + 1}" for i in range(len(processors))))
