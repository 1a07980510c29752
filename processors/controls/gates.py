"""Gates: let a control act in one phase, or after some tokens, only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from thinkpace.errors import UnsupportedControl
from thinkpace.processors.controls.loop_breaker import LoopBreaker
from thinkpace.processors.controls.suppress_expressions import SuppressExpressions
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.decisions import NOTHING, Decision, RowStatistic, Statistics
from thinkpace.processors.core.edit import KEEP
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.tracker import Track
from thinkpace.processors.core.validators import checked_choice, checked_count
from thinkpace.processors.text.vocabulary import TokenIds
from thinkpace.types import Phase

_PHASES = {"thinking": Phase.THINKING, "answer": Phase.ANSWER}


class Gated(Control):
    """Base of the gates: needs the same as the inner control does."""

    __slots__ = ()
    inner: Control

    @property
    def moves_probability(self) -> bool:
        return self.inner.moves_probability

    @property
    def phases(self) -> tuple[str, ...]:  # type: ignore[override]  # depends on the inner control
        return (self.phase,) if isinstance(self, During) else self.inner.phases

    @property
    def rules_answer(self) -> bool:  # type: ignore[override]  # depends on the inner control
        return self.inner.rules_answer

    def ending(self, binding: Binding) -> Processor[Any] | None:
        return self.inner.ending(binding) if "thinking" in self.phases else None

    @property
    def statistics(self) -> frozenset[str]:
        return self.inner.statistics


@dataclass(frozen=True, slots=True, repr=False)
class During(Gated):
    """Let a control act in one phase only.

    It still observes all tokens. `during` builds it.

    Args:
        phase: "thinking" or "answer".
        inner: a control that does not decide when thinking ends.

    Raises:
        TypeError, ValueError: for another phase, something that is not a control, or one that never acts there.
        UnsupportedControl: for a control that decides when thinking ends: it must always act.

    >>> from thinkpace import SuppressExpressions
    >>> during("thinking", SuppressExpressions(("wait",)))
    During(phase='thinking', inner=SuppressExpressions(expressions=('wait',)))

    Source: ours.
    """

    phase: str
    inner: Control

    @classmethod
    def examples(cls) -> tuple[Control, ...]:
        return (cls("answer", SuppressExpressions(("wait",))),)

    def __post_init__(self) -> None:
        checked_choice("phase", self.phase, _PHASES)
        _check(self.inner)
        if self.phase not in self.inner.phases:
            raise ValueError(
                f"{self.inner!r} acts on the {self.inner.phases[0]} only: during {self.phase!r} it never would"
            )

    def compile(self, binding: Binding) -> Gate:
        return Gate(self.inner.compile(binding), _PHASES[self.phase], 0)


@dataclass(frozen=True, slots=True, repr=False)
class After(Gated):
    """Let a control act only after `tokens` output tokens.

    It still observes all tokens. `after` builds it.

    Args:
        tokens: number of output tokens, of every kind, before it acts; 0 or more.
        inner: a control that does not decide when thinking ends, and does not constrain the whole answer.

    Raises:
        TypeError, ValueError: for a number out of range, or something that is not a control.
        UnsupportedControl: for a control that decides when thinking ends or constrains the whole answer.

    Source: ours.
    """

    tokens: int
    inner: Control

    @classmethod
    def examples(cls) -> tuple[Control, ...]:
        return (cls(64, LoopBreaker()),)

    def __post_init__(self) -> None:
        checked_count("tokens", self.tokens)
        _check(self.inner)
        if self.inner.rules_answer:
            raise UnsupportedControl(f"{self.inner!r} is about the whole answer: take it out of the gate")

    def compile(self, binding: Binding) -> Gate:
        if binding.max_new_tokens is not None and self.tokens >= binding.max_new_tokens:
            raise UnsupportedControl(
                f"{self!r} would never act: its gate opens after {self.tokens} tokens, and at most "
                f"{binding.max_new_tokens} are generated",
                field="max_new_tokens",
            )
        return Gate(self.inner.compile(binding), None, self.tokens)


def _check(control: object) -> None:
    if not isinstance(control, Control):
        raise TypeError(f"a gate needs a control such as LoopBreaker(), got {control!r}")
    if control.decides_end:
        raise UnsupportedControl(f"{control!r} decides when thinking ends and must always act: take it out of the gate")


class Gate(Processor[Any]):
    """The processor of both gates: wraps a processor; outside its phase or token range it decides KEEP.

    Args:
        inner: the wrapped processor.
        phase: phase in which it acts; None for all.
        tokens: number of output tokens before it acts.
    """

    __slots__ = ("inner", "phase", "tokens")

    def __init__(self, inner: Processor[Any], phase: Phase | None, tokens: int) -> None:
        self.inner = inner
        self.phase = phase
        self.tokens = tokens

    def _open(self, track: Track) -> bool:
        return self.phase in (None, track.phase) and track.emitted >= self.tokens

    def init(self, track: Track) -> Any:
        return self.inner.init(track)

    def read(self, state: Any, prompt: Sequence[int]) -> Any:
        return self.inner.read(state, prompt)

    def observe(self, state: Any, before: Track, after: Track, token: int, drawn: int) -> Any:
        return self.inner.observe(state, before, after, token, drawn)

    def decide(self, state: Any, track: Track) -> Decision:
        return self.inner.decide(state, track) if self._open(track) else KEEP

    def taken_back(self, state: Any, track: Track, ids: TokenIds) -> Any:
        return self.inner.taken_back(state, track, ids)

    def explain(self, state: Any, before: Track, token: int, drawn: int) -> str:
        return self.inner.explain(state, before, token, drawn) if self._open(before) else ""

    def wants(self, state: Any, track: Track) -> frozenset[RowStatistic]:
        return self.inner.wants(state, track) if self._open(track) else NOTHING

    def receive(self, state: Any, track: Track, statistics: Statistics) -> Any:
        return self.inner.receive(state, track, statistics) if self._open(track) else state

    def idle_tokens(self, state: Any, track: Track) -> int:
        idle = self.inner.idle_tokens(state, track)
        return min(idle, self.tokens - 1 - track.emitted) if track.emitted < self.tokens else idle

    def wake_tokens(self, state: Any, track: Track) -> frozenset[int]:
        return self.inner.wake_tokens(state, track)

    def skip(self, state: Any, track: Track, tokens: Sequence[int]) -> Any:
        return self.inner.skip(state, track, tokens)


def during(phase: str, control: Control) -> During:
    """Let a control act in one phase only; it still observes all tokens.

    Args:
        phase: "thinking" or "answer".
        control: a control that does not decide when thinking ends.

    Raises:
        TypeError, ValueError: for another phase, something that is not a control, or one that never acts there.
        UnsupportedControl: for a control that decides when thinking ends: it must always act.
    """
    return During(phase, control)


def after(tokens: int, control: Control) -> After:
    """Let a control act only after `tokens` output tokens; it observes all tokens from the start.

    Args:
        tokens: number of output tokens, of every kind, before it acts; 0 or more.
        control: a control that does not decide when thinking ends, and does not constrain the whole answer.

    Raises:
        TypeError, ValueError: for a number out of range, or something that is not a control.
        UnsupportedControl: for a control that decides when thinking ends or constrains the whole answer.
    """
    return After(tokens, control)
