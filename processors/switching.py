"""Thoughts: penalise changing over to another one, or allow only so many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from thinkpace.errors import UnsupportedControl
from thinkpace.processors.base import FOREVER, NO_TOKENS, Binding, Close, Control, Decision, Processor
from thinkpace.processors.checks import checked_choice, checked_count, checked_number, checked_texts
from thinkpace.processors.edit import KEEP, Edit, bias, redirect
from thinkpace.processors.guard import THOUGHT_SWITCHES
from thinkpace.processors.phase import Track
from thinkpace.processors.phrases import BEGIN, Phrases, phrases
from thinkpace.processors.vocabulary import Vocabulary
from thinkpace.types import Phase


@dataclass(frozen=True, slots=True, repr=False)
class ThoughtSwitchPenalty(Control):
    """Make changing to another thought less likely while the current one is young (TIP).

    For the first `beta` tokens of every thought, `alpha` is taken off the logit of every token that would complete one
    of the expressions. A thought begins where thinking is opened, and with the token after an expression. Only
    thinking is touched; the penalty ends with the close. To allow only so many thoughts, see `ThoughtBudget`; to never
    let a word be said, `SuppressExpressions`.

    Args:
        alpha: taken off the logits, before the temperature; 0 or more, 0 is off. Default: the paper's choice.
        beta: how long, in tokens; 0 or more, 0 is off. Default: the paper's choice, for long competition mathematics.
        expressions: what begins another thought: whole words or phrases in any case, after anything, however they are
            cut into tokens.
        multi_token: what is penalised of an expression of several words: its end, "last", so that phrases that only
            begin alike are left alone; or the end of its first word, "first", and these with it.
        first_thought: where the window of the first thought begins: with "thinking", or with the "generation", which
            makes a difference where the model writes something before it opens thinking.

    Raises:
        TypeError, ValueError: for numbers out of range, or no expressions.

    >>> ThoughtSwitchPenalty(beta=300)
    ThoughtSwitchPenalty(beta=300)

    Source: TIP, arXiv 2501.18585, section 4 (alpha = 3 and beta = 600 chosen on AIME 2022-23).
    Not published, and therefore our choice: the expressions, where the first thought begins, which token of several is
    penalised. A word that goes on after a complete expression ("waiting" as wait + ing) counts as the expression.
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

    def compile(self, binding: Binding) -> Penalty:
        apart = binding.markers.single
        table = phrases(binding.vocabulary, self.expressions, apart=apart)
        if self.multi_token == "last":
            return Penalty(self, table, table)
        first_words = tuple(dict.fromkeys(text.split()[0] for text in self.expressions))
        return Penalty(self, table, phrases(binding.vocabulary, first_words, apart=apart))


class ThoughtState(NamedTuple):
    """Args: cursor: in the expressions. began: output tokens when the thought began. thoughts: how many were begun.
    over: whether thinking is to be closed."""

    cursor: int = BEGIN
    began: int = 0
    thoughts: int = 0
    over: bool = False


def _followed(
    state: ThoughtState, table: Phrases, before: Track, after: Track, token: int, *, own: bool = True
) -> ThoughtState:
    """The state after a token that belongs to thinking, or opens it; a thought that is not its `own` does not count."""
    if after.phase is not Phase.THINKING:
        return state
    if before.phase is not Phase.THINKING:
        return ThoughtState(BEGIN, after.emitted, state.thoughts + 1)
    cursor, found = table.step(state.cursor, token)
    if found is not None:
        return ThoughtState(cursor, after.emitted, state.thoughts + own, state.over)
    return state if cursor == state.cursor else ThoughtState(cursor, state.began, state.thoughts, state.over)


def _skipped(state: ThoughtState, table: Phrases, track: Track, tokens: Sequence[int]) -> ThoughtState:
    """The state after tokens none of which is heeded."""
    cursor = table.rested(tokens) if track.phase is Phase.THINKING else state.cursor
    return state if cursor == state.cursor else ThoughtState(cursor, state.began, state.thoughts, state.over)


class Penalty(Processor[tuple[ThoughtState, int]]):
    """The processor of `ThoughtSwitchPenalty`; its state has a cursor more, in what is penalised.

    Args:
        control: the specification.
        table: of the expressions, which begin thoughts.
        penalised: of what is penalised: the expressions, or their first words.
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
        followed = _followed(thought, self.phrases, before, after, token)
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
        known = self._edits.get(cursor)
        if known is None:
            tokens = self.penalised.completions(cursor)
            known = self._edits[cursor] = bias(dict.fromkeys(tokens, -self.control.alpha))
        return known

    def quiet(self, state: tuple[ThoughtState, int], track: Track) -> int:
        if track.phase is not Phase.THINKING:
            return FOREVER
        thought, cursor = state
        if not self.phrases.at_rest(thought.cursor) or not self.penalised.at_rest(cursor):
            return 0
        left = thought.began + self.control.beta - track.emitted
        if left <= 0:
            return FOREVER
        return left - 1 if self.penalised.settled(cursor) and self.phrases.settled(thought.cursor) else 0

    def heeds(self, state: tuple[ThoughtState, int], track: Track) -> frozenset[int]:
        if track.phase is not Phase.THINKING:
            return NO_TOKENS
        active = track.emitted - state[0].began < self.control.beta
        # what begins or holds a phrase of the one table does so in the other: a first word is part of its expression
        return self.penalised.alert if active else self.penalised.heeds

    def skip(self, state: tuple[ThoughtState, int], track: Track, tokens: Sequence[int]) -> tuple[ThoughtState, int]:
        if track.phase is not Phase.THINKING:
            return state
        return _skipped(state[0], self.phrases, track, tokens), self.penalised.rested(tokens)


@dataclass(frozen=True, slots=True, repr=False)
class ThoughtBudget(Control):
    """Close thinking instead of beginning thought number `max_thoughts` + 1.

    Where the model would complete an expression that begins another thought, a line break comes instead (its
    probability moves there), and thinking is closed by force. The first thought begins where thinking is opened; a
    phrase that a control writes ("Wait") begins none.

    Args:
        max_thoughts: at most, 1 or more, all blocks of thinking together.
        expressions: what begins another thought, as in `ThoughtSwitchPenalty`.

    Raises:
        TypeError, ValueError: for a number out of range, or no expressions.

    >>> ThoughtBudget(8)
    ThoughtBudget(max_thoughts=8)

    Source: `max_thoughts` of ThinkDeeper (optillm a5e3588, optillm/thinkdeeper.py), which tests the token that was
    drawn and closes after it; here the close comes in its place.
    """

    max_thoughts: int
    expressions: tuple[str, ...] = THOUGHT_SWITCHES

    phases: ClassVar[tuple[str, ...]] = ("thinking",)

    def __post_init__(self) -> None:
        checked_count("max_thoughts", self.max_thoughts, 1)
        object.__setattr__(self, "expressions", checked_texts("expressions", self.expressions))

    @property
    def moves_probability(self) -> bool:
        return True

    def compile(self, binding: Binding) -> Thoughts:
        table = phrases(binding.vocabulary, self.expressions, apart=binding.markers.single)
        return Thoughts(self.max_thoughts, table, line_break(binding.vocabulary, "ThoughtBudget"))


class Thoughts(Processor[ThoughtState]):
    """The processor of `ThoughtBudget`."""

    __slots__ = ("_edits", "_watched", "line_break", "most", "phrases")

    def __init__(self, most: int, table: Phrases, line_break: int) -> None:
        self.most = most
        self.phrases = table
        self.line_break = line_break
        self._edits: dict[int, Edit] = {}
        self._watched = table.alert | {line_break}

    def init(self, track: Track) -> ThoughtState:
        return ThoughtState(thoughts=int(track.phase is Phase.THINKING))

    def observe(self, state: ThoughtState, before: Track, after: Track, token: int, drawn: int) -> ThoughtState:
        followed = _followed(state, self.phrases, before, after, token, own=drawn == token)
        return followed._replace(over=True) if self._replaced(state, before, token, drawn) else followed

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
        known = self._edits.get(state.cursor)
        if known is None:
            known = self._edits[state.cursor] = redirect(self.phrases.completions(state.cursor), self.line_break)
        return known

    def decide(self, state: ThoughtState, track: Track) -> Decision:
        if track.phase is not Phase.THINKING:
            return KEEP
        edit = self._edit(state)
        return Close("thoughts", edit) if state.over or state.thoughts > self.most else edit

    def explain(self, state: ThoughtState, before: Track, token: int, drawn: int) -> str:
        return "thoughts" if self._replaced(state, before, token, drawn) else ""

    def quiet(self, state: ThoughtState, track: Track) -> int:
        if track.phase is not Phase.THINKING:
            return FOREVER
        if state.over or state.thoughts > self.most:
            return 0
        ready = self.phrases.at_rest if state.thoughts < self.most else self.phrases.settled
        return FOREVER if ready(state.cursor) else 0

    def heeds(self, state: ThoughtState, track: Track) -> frozenset[int]:
        if track.phase is not Phase.THINKING:
            return NO_TOKENS
        return self.phrases.heeds if state.thoughts < self.most else self._watched

    def skip(self, state: ThoughtState, track: Track, tokens: Sequence[int]) -> ThoughtState:
        return _skipped(state, self.phrases, track, tokens)


def line_break(vocabulary: Vocabulary, who: str) -> int:
    """The id of a line break alone.

    Raises:
        UnsupportedControl: if the vocabulary has none.
    """
    for token, piece in enumerate(vocabulary.pieces):
        if piece == b"\n" and token not in vocabulary.unused:
            return token
    raise UnsupportedControl(f"{who} needs a token for a line break alone, and this vocabulary has none")
