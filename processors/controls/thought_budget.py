"""`ThoughtBudget`: a limit on the number of thoughts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from thinkpace.processors.budgeting.closer import Closer
from thinkpace.processors.controls._thoughts import ThoughtState, follow_thought, skip_thought
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.decisions import FOREVER, NO_TOKENS, Close, Decision
from thinkpace.processors.core.edit import KEEP, Edit, redirect
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.tracker import Track
from thinkpace.processors.core.validators import checked_count, checked_texts
from thinkpace.processors.text.expressions import THOUGHT_SWITCHES
from thinkpace.processors.text.phrases import Phrases, phrases
from thinkpace.processors.text.vocabulary import line_break
from thinkpace.types import Phase


@dataclass(frozen=True, slots=True, repr=False)
class ThoughtBudget(Closer):
    """Close thinking instead of starting one thought too many.

    Once `max_thoughts` thoughts have started, a line break is written where the model would complete an expression
    that starts another one (the probability moves to it), and thinking is closed by force. The first thought starts
    where thinking is opened; a phrase that a control writes ("Wait") does not start a thought.

    Args:
        max_thoughts: maximum of thoughts, 1 or more, over all thinking blocks.
        expressions: what starts another thought, as in `ThoughtSwitchPenalty`.

    Raises:
        TypeError, ValueError: for a number out of range, or no expressions.

    >>> ThoughtBudget(8)
    ThoughtBudget(max_thoughts=8)

    Source: ThinkDeeper, in optillm. Its `max_thoughts` (optillm a5e3588, optillm/thinkdeeper.py) tests the token that
    was drawn and closes after it; here the close comes in its place.
    """

    max_thoughts: int
    expressions: tuple[str, ...] = THOUGHT_SWITCHES

    phases: ClassVar[tuple[str, ...]] = ("thinking",)

    @classmethod
    def examples(cls) -> tuple[Control, ...]:
        return (cls(8),)

    def __post_init__(self) -> None:
        checked_count("max_thoughts", self.max_thoughts, 1)
        object.__setattr__(self, "expressions", checked_texts("expressions", self.expressions))

    @property
    def moves_probability(self) -> bool:
        return True

    def compile(self, binding: Binding) -> ThoughtBudgetMachine:
        table = phrases(binding.vocabulary, self.expressions, apart=binding.markers.single)
        return ThoughtBudgetMachine(self.max_thoughts, table, line_break(binding.vocabulary, "ThoughtBudget"))


class ThoughtBudgetMachine(Processor[ThoughtState]):
    """The processor of `ThoughtBudget`."""

    __slots__ = ("_edits", "_watched", "line_break", "most", "phrases")

    def __init__(self, most: int, table: Phrases, line_break: int) -> None:
        self.most = most
        self.phrases = table
        self.line_break = line_break
        self._edits: dict[int, Edit] = {}
        self._watched = table.wake_inside_word | {line_break}

    def init(self, track: Track) -> ThoughtState:
        return ThoughtState(thoughts=int(track.phase is Phase.THINKING))

    def observe(self, state: ThoughtState, before: Track, after: Track, token: int, drawn: int) -> ThoughtState:
        followed = follow_thought(state, self.phrases, before, after, token, own=drawn == token)
        over = self._replaced(state, before, token, drawn)
        if after.phase is Phase.THINKING is not before.phase:
            over = followed.thoughts > self.most
        return followed if over == followed.over else followed._replace(over=over)

    def _replaced(self, state: ThoughtState, before: Track, token: int, drawn: int) -> bool:
        return (
            drawn >= 0
            and drawn != token == self.line_break
            and before.phase is Phase.THINKING
            and drawn in self._edit(state).redirect
        )

    def _edit(self, state: ThoughtState) -> Edit:
        if state.thoughts < self.most:
            return KEEP
        cached = self._edits.get(state.cursor)
        if cached is None:
            cached = self._edits[state.cursor] = redirect(self.phrases.completions(state.cursor), self.line_break)
        return cached

    def decide(self, state: ThoughtState, track: Track) -> Decision:
        if track.phase is not Phase.THINKING:
            return KEEP
        edit = self._edit(state)
        return Close("thoughts", edit) if state.over else edit

    def explain(self, state: ThoughtState, before: Track, token: int, drawn: int) -> str:
        return "thoughts" if self._replaced(state, before, token, drawn) else ""

    def idle_tokens(self, state: ThoughtState, track: Track) -> int:
        if track.phase is not Phase.THINKING:
            return FOREVER
        if state.over:
            return 0
        ready = self.phrases.is_idle_any_word if state.thoughts < self.most else self.phrases.is_idle
        return FOREVER if ready(state.cursor) else 0

    def wake_tokens(self, state: ThoughtState, track: Track) -> frozenset[int]:
        if track.phase is not Phase.THINKING:
            return NO_TOKENS
        return self.phrases.wake_tokens if state.thoughts < self.most else self._watched

    def skip(self, state: ThoughtState, track: Track, tokens: Sequence[int]) -> ThoughtState:
        return skip_thought(state, self.phrases, track, tokens)
