"""A control as another package would have it: without a device form, and registered for one test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from unittest import mock

from thinkpace import Phase
from thinkpace.processors import KEEP, Binding, Close, Closer, Decision, Processor, Track, catalog


@dataclass(frozen=True, slots=True, repr=False)
class Strange(Closer):
    """Closes thinking after some tokens."""

    tokens: int = 3

    def compile(self, binding: Binding) -> StrangeMachine:
        return StrangeMachine(self.tokens)


class StrangeMachine(Processor[None]):
    """The processor of `Strange`."""

    def __init__(self, most: int) -> None:
        self._most = most

    def init(self, track: Track) -> None:
        return None

    def decide(self, state: None, track: Track) -> Decision:
        over = track.phase is Phase.THINKING and track.thinking_spent >= self._most
        return Close("strange") if over else KEEP


@contextmanager
def registered() -> Iterator[None]:
    """`Strange` is known by its name."""
    point = EntryPoint("Strange", "support.strange:Strange", catalog.GROUP)
    with mock.patch.object(catalog, "_announced", return_value={catalog.folded("Strange"): [point]}):
        yield
