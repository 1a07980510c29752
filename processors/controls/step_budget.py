"""`StepBudget`: a limit on the number of thinking steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from thinkpace.processors.budgeting.closer import Closer
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.decisions import FOREVER, NO_TOKENS, Close, Decision
from thinkpace.processors.core.edit import KEEP
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.tracker import Track
from thinkpace.processors.core.validators import checked_count, checked_texts
from thinkpace.processors.text.expressions import BLANK_LINE
from thinkpace.processors.text.lexicon import lexicon
from thinkpace.processors.text.phrases import BEGIN, phrases
from thinkpace.types import Phase


@dataclass(frozen=True, slots=True, repr=False)
class StepBudget(Closer):
    """Close thinking after `max_steps` steps.

    A step is the text between two separators, if it is more than white space. The close follows directly after the
    separator that ends the last step, or a later one if it has to wait (for a gate, or for a minimum).

    Args:
        max_steps: maximum of steps, 1 or more, over all thinking blocks.
        separators: texts that end a step, matched byte by byte, however they are split into tokens. Default: a blank
            line.

    Raises:
        TypeError, ValueError: for a number out of range, or no separators.

    >>> StepBudget(16)
    StepBudget(max_steps=16)

    Source: step-conditional control, s1, arXiv 2501.19393 v3, section 3.2. See also its appendix. s1 asks for the
    steps in the prompt, of a model trained with step markers, and models then write longer steps; here any model is
    stopped.
    """

    max_steps: int
    separators: tuple[str, ...] = BLANK_LINE

    phases: ClassVar[tuple[str, ...]] = ("thinking",)

    @classmethod
    def examples(cls) -> tuple[Control, ...]:
        return (cls(16),)

    def __post_init__(self) -> None:
        checked_count("max_steps", self.max_steps, 1)
        object.__setattr__(self, "separators", checked_texts("separators", self.separators))

    def compile(self, binding: Binding) -> StepBudgetMachine:
        return StepBudgetMachine(self, binding)


class StepBudgetState(NamedTuple):
    """State of one sequence under `StepBudget`."""

    steps: int = 0  #: steps completed so far
    has_text: bool = False  #: whether the current step has more than white space
    cursor: int = BEGIN  #: cursor in the separators
    at_end: bool = False  #: whether a separator has just ended, or the block has just begun


class StepBudgetMachine(Processor[StepBudgetState]):
    """The processor of `StepBudget`."""

    __slots__ = ("most", "separators", "texts")

    def __init__(self, control: StepBudget, binding: Binding) -> None:
        self.most = control.max_steps
        self.separators = phrases(binding.vocabulary, control.separators, exact=True)
        self.texts = lexicon(binding.vocabulary).texts

    def init(self, track: Track) -> StepBudgetState:
        return StepBudgetState()

    def observe(self, state: StepBudgetState, before: Track, after: Track, token: int, drawn: int) -> StepBudgetState:
        if after.phase is not Phase.THINKING:
            return state
        if before.phase is not Phase.THINKING:
            return StepBudgetState(state.steps, at_end=True)
        cursor, completed = self.separators.step(state.cursor, token)
        has_text = state.has_text or bool(self.texts[token].strip())
        if completed is not None and has_text:
            return StepBudgetState(state.steps + 1, False, cursor, True)
        next_state = StepBudgetState(state.steps, has_text, cursor, completed is not None)
        return state if next_state == state else next_state

    def decide(self, state: StepBudgetState, track: Track) -> Decision:
        over = track.phase is Phase.THINKING and state.at_end and state.steps >= self.most
        return Close("steps") if over else KEEP

    def idle_tokens(self, state: StepBudgetState, track: Track) -> int:
        if track.phase is not Phase.THINKING:
            return FOREVER
        return 0 if state.at_end else FOREVER

    def wake_tokens(self, state: StepBudgetState, track: Track) -> frozenset[int]:
        return self.separators.wake_tokens_from(state.cursor) if track.phase is Phase.THINKING else NO_TOKENS

    def skip(self, state: StepBudgetState, track: Track, tokens: Sequence[int]) -> StepBudgetState:
        if track.phase is not Phase.THINKING:
            return state
        has_text = state.has_text or any(self.texts[token].strip() for token in tokens)
        unchanged = (has_text, BEGIN) == (state.has_text, state.cursor)
        return state if unchanged else StepBudgetState(state.steps, has_text, BEGIN)
