"""The base class of controls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import MISSING, fields
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar

from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.processor import Processor

if TYPE_CHECKING:
    from thinkpace.processors.core.closing import ClosingSequence


class Control(ABC):
    """A specification of what to control: a frozen dataclass of texts and numbers, the same for every engine."""

    __slots__ = ()
    #: True for controls that decide when thinking ends; a sequence takes at most one of them
    decides_end: ClassVar[bool] = False
    #: True for controls that constrain the whole answer; a sequence takes at most one of them
    rules_answer: ClassVar[bool] = False
    #: phases in which it can act; a gate for another phase is refused
    phases: ClassVar[tuple[str, ...]] = ("thinking", "answer")

    @classmethod
    def examples(cls) -> tuple[Control, ...]:
        """Instances with typical values, which `thinkpace doctor` checks. Default: one without arguments, if valid."""
        needed = [f for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]  # type: ignore[arg-type]  # every control is a dataclass
        return () if needed else (cls(),)

    @abstractmethod
    def compile(self, binding: Binding) -> Processor[Any]:
        """The processor for one binding.

        Raises:
            UnsupportedControl: if it cannot work there.
        """

    def closing(self, binding: Binding) -> ClosingSequence | None:
        """How thinking is closed by force, by this or another control; None if this one does not decide its end."""
        return None

    def ending(self, binding: Binding) -> Processor[Any] | None:
        """What turns the end of the sequence inside thinking into a close where no control decides when thinking ends.

        None for controls that never close thinking. `Closer` is the base class of those that do.
        """
        return None

    @property
    def asks_something(self) -> bool:
        """Whether it can ever change what is generated; False for a budget without any limit."""
        return True

    @property
    def moves_probability(self) -> bool:
        """Whether it moves probability from some tokens to others; the result then depends on the temperature."""
        return False

    @property
    def statistics(self) -> frozenset[str]:
        """The kinds of row statistics that its processor may request."""
        return frozenset()

    def __repr__(self) -> str:
        """The call that builds it, without fields that have their default value."""
        shown = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default]  # type: ignore[arg-type]  # every control is a dataclass
        return f"{type(self).__name__}({', '.join(shown)})"

    def _repr_html_(self) -> str:
        """For notebooks: the call that builds it."""
        return f"<code>{escape(repr(self))}</code>"

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `control_from_json` turns back into an equal control."""
        # fields that came later are left out at their default, so that what was stored before them stays equal
        shown = [f for f in fields(self) if "since" not in f.metadata or getattr(self, f.name) != f.default]  # type: ignore[arg-type]  # every control is a dataclass
        values = {f.name: getattr(self, f.name) for f in shown}
        return {"control": type(self).__name__} | {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Control):
        return value.to_json()
    return list(value) if isinstance(value, tuple) else value
