"""Controls: the specification that people write, the same for every engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, ClassVar

from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.processor import Processor

if TYPE_CHECKING:
    from thinkpace.processors.core.closing import ClosingSequence


class Control(ABC):
    """What a user writes: a frozen dataclass of text and numbers, the same for every engine."""

    __slots__ = ()
    #: controls that decide when thinking ends; a sequence takes one of them
    decides_end: ClassVar[bool] = False
    #: controls that say all that an answer may be; a sequence takes one of them
    rules_answer: ClassVar[bool] = False
    #: where it can act: gates for elsewhere are refused
    phases: ClassVar[tuple[str, ...]] = ("thinking", "answer")

    @classmethod
    def examples(cls) -> tuple[Control, ...]:
        """Controls of this kind with usual numbers, which `thinkpace doctor` checks; by default without arguments."""
        needed = [f for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]  # type: ignore[arg-type]  # every control is a dataclass
        return () if needed else (cls(),)

    @abstractmethod
    def compile(self, binding: Binding) -> Processor[Any]:
        """The processor for one vocabulary.

        Raises:
            UnsupportedControl: if it cannot work there.
        """

    def closing(self, binding: Binding) -> ClosingSequence | None:
        """How thinking is closed by force, by this control or another; None from those that do not decide its end."""
        return None

    @property
    def moves_probability(self) -> bool:
        """Whether it moves probability from what the model wants to something else: then the temperature matters."""
        return False

    @property
    def statistics(self) -> frozenset[str]:
        """The kinds of numbers its processor may ask for."""
        return frozenset()

    def __repr__(self) -> str:
        """The call that builds it, without what is left at its default."""
        shown = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default]  # type: ignore[arg-type]  # every control is a dataclass
        return f"{type(self).__name__}({', '.join(shown)})"

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `control_from_json` turns back into an equal control."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]  # every control is a dataclass
        return {"control": type(self).__name__} | {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Control):
        return value.to_json()
    return list(value) if isinstance(value, tuple) else value
