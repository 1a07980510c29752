"""`ThoughtSwitchPenalty`: make switches to another thought less likely (TIP)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from thinkpace.processors.controls._thoughts import ThoughtState, follow_thought, skip_thought
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.decisions import FOREVER, NO_TOKENS
from thinkpace.processors.core.edit import KEEP, Edit, bias
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.tracker import Track
from thinkpace.processors.core.validators import checked_choice, checked_count, checked_number, checked_texts
from thinkpace.processors.text.expressions import THOUGHT_SWITCHES
from thinkpace.processors.text.phrases import BEGIN, Phrases, phrases
from thinkpace.types import Phase


@dataclass(frozen=True, slots=True, repr=False)
class ThoughtSwitchPenalty(Control):
    """Make a switch to another thought less likely while the current one is young (TIP).

    For the first `beta` tokens of every thought, `alpha` is subtracted from the logit of every token that would
    complete one of the expressions. A thought starts where thinking is opened, and with the token after an expression.
    Only thinking is affected; the penalty ends with the close. To limit the number of thoughts, see `ThoughtBudget`;
    to block words entirely, see `SuppressExpressions`.

    Args:
        alpha: subtracted from the logits, before the temperature; 0 or more, 0 is off. Default: the paper's choice.
        beta: length of the penalty window in tokens; 0 or more, 0 is off. Default: the paper's choice, for long
            competition mathematics.
        expressions: what starts another thought: whole words or phrases, in any case, after any text, however they
            are split into tokens.
        multi_token: which token of an expression of several words is penalised. "last": the one that completes the
            expression, so that phrases with the same beginning are left alone. "first": the one that completes its
            first word, which also affects those phrases.
        first_thought: start of the window of the first thought: "thinking", or "generation", which differs where the
            model writes something before it opens thinking.

    Raises:
        TypeError, ValueError: for numbers out of range, or no expressions.

    >>> ThoughtSwitchPenalty(beta=300)
    ThoughtSwitchPenalty(beta=300)

    Source: TIP, arXiv 2501.18585, section 4. It chooses alpha = 3 and beta = 600 on AIME 2022-23. Not published, and
    therefore our choice: the expressions, where the first thought starts, and which of several tokens is penalised.
    A word that continues after a complete expression ("waiting" as wait + ing) counts as the expression.
    """

    alpha: float = 3.0
    beta: int = 600
    expressions: tuple[str, ...] = THOUGHT_SWITCHES
    multi_token: str = "last"
    first_thought: str = "thinking"

    phases: ClassVar[tuple[str, ...]] = ("thinking",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", checked_number("alpha", self.alpha, 0.0, 1e4))
        checked_count("beta", self.beta)
        object.__setattr__(self, "expressions", checked_texts("expressions", self.expressions))
        checked_choice("multi_token", self.multi_token, ("last", "first"))
        checked_choice("first_thought", self.first_thought, ("thinking", "generation"))

    def compile(self, binding: Binding) -> ThoughtSwitchPenaltyMachine:
        apart = binding.markers.single
        table = phrases(binding.vocabulary, self.expressions, apart=apart)
        if self.multi_token == "last":
            return ThoughtSwitchPenaltyMachine(self, table, table)
        first_words = tuple(dict.fromkeys(text.split()[0] for text in self.expressions))
        return ThoughtSwitchPenaltyMachine(self, table, phrases(binding.vocabulary, first_words, apart=apart))


class ThoughtSwitchPenaltyMachine(Processor[tuple[ThoughtState, int]]):
    """The processor of `ThoughtSwitchPenalty`; the second part of its state is the cursor in `penalised`.

    Args:
        control: the specification.
        table: the expressions, which start thoughts.
        penalised: the phrases to penalise: the expressions, or their first words.
    """

    __slots__ = ("_edits", "control", "penalised", "phrases")

    def __init__(self, control: ThoughtSwitchPenalty, table: Phrases, penalised: Phrases) -> None:
        self.control = control
        self.phrases = table
        self.penalised = penalised
        self._edits: dict[int, Edit] = {}

    def init(self, track: Track) -> tuple[ThoughtState, int]:
        return ThoughtState(thoughts=int(track.phase is Phase.THINKING)), BEGIN

    def observe(
        self, state: tuple[ThoughtState, int], before: Track, after: Track, token: int, drawn: int
    ) -> tuple[ThoughtState, int]:
        thought, cursor = state
        followed = follow_thought(thought, self.phrases, before, after, token)
        if followed.thoughts == 1 and thought.thoughts == 0 and self.control.first_thought == "generation":
            followed = followed._replace(began=0)
        if self.penalised is self.phrases:
            return followed, followed.cursor
        if after.phase is Phase.THINKING:
            cursor = self.penalised.step(cursor, token)[0] if before.phase is Phase.THINKING else BEGIN
        return followed, cursor

    def decide(self, state: tuple[ThoughtState, int], track: Track) -> Edit:
        thought, cursor = state
        if track.phase is not Phase.THINKING or track.emitted - thought.began >= self.control.beta:
            return KEEP
        cached = self._edits.get(cursor)
        if cached is None:
            tokens = self.penalised.completions(cursor)
            cached = self._edits[cursor] = bias(dict.fromkeys(tokens, -self.control.alpha))
        return cached

    def idle_tokens(self, state: tuple[ThoughtState, int], track: Track) -> int:
        if track.phase is not Phase.THINKING:
            return FOREVER
        thought, cursor = state
        if not self.phrases.is_idle_any_word(thought.cursor) or not self.penalised.is_idle_any_word(cursor):
            return 0
        left = thought.began + self.control.beta - track.emitted
        if left <= 0:
            return FOREVER
        return left - 1 if self.penalised.is_idle(cursor) and self.phrases.is_idle(thought.cursor) else 0

    def wake_tokens(self, state: tuple[ThoughtState, int], track: Track) -> frozenset[int]:
        if track.phase is not Phase.THINKING:
            return NO_TOKENS
        active = track.emitted - state[0].began < self.control.beta
        # a token that starts or holds a phrase of one table does so in the other: first words are part of expressions
        return self.penalised.wake_inside_word if active else self.penalised.wake_tokens

    def skip(self, state: tuple[ThoughtState, int], track: Track, tokens: Sequence[int]) -> tuple[ThoughtState, int]:
        if track.phase is not Phase.THINKING:
            return state
        return skip_thought(state[0], self.phrases, track, tokens), self.penalised.idle_cursor(tokens)
