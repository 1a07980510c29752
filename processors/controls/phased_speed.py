"""`PhasedSpeed`: slow thinking first, then fast (AlphaOne)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from thinkpace.processors.budgeting.budget import Budget
from thinkpace.processors.budgeting.machine import BudgetMachine
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.chain import chain
from thinkpace.processors.core.closing import check_phrases
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.decisions import FOREVER, NOTHING, Close, Decision, RowStatistic, Script, Statistics
from thinkpace.processors.core.edit import KEEP, Edit, redirect
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.tracker import Track
from thinkpace.processors.core.validators import checked_count, checked_number, checked_text, checked_texts
from thinkpace.processors.text.automaton import START
from thinkpace.processors.text.expressions import BLANK_LINE
from thinkpace.processors.text.phrases import BEGIN, phrases
from thinkpace.processors.text.vocabulary import line_break, spell
from thinkpace.types import Phase

_UNIFORM = RowStatistic("uniform")


@dataclass(frozen=True, slots=True, repr=False)
class PhasedSpeed(Budget):
    """Think slowly for `slow_tokens` ("Wait" at breaks), then fast (close where "Wait" would come).

    Slow: after every separator "Wait" is written with a probability that falls linearly from `wait_probability` at
    the start to 0 at `slow_tokens`. Fast: where the model would write "Wait" (or another entry of `slow`), a line
    break is written instead (the probability moves to it), and thinking is closed by force.

    It is also a budget and replaces one: the fields of `ThinkBudget` work as they do there.

    Args:
        slow_tokens: length of the slow phase in thinking tokens, 1 or more.
        wait: text written in the slow phase.
        wait_probability: probability of `wait` at the start, in (0, 1].
        slow: words or phrases that close thinking in the fast phase, as in `ThoughtSwitchPenalty`.
        separators: texts after which `wait` may be written.
        max_tokens, min_tokens, answer_reserve, landing, landing_boost, message, context_share, guard, hold, spans,
            effort: as in `ThinkBudget`, and so are the other names of `max_tokens`.

    Raises:
        TypeError, ValueError: for numbers out of range, empty texts, or a slow phase that is longer than `max_tokens`.

    >>> PhasedSpeed(slow_tokens=2048)
    PhasedSpeed(slow_tokens=2048)

    Source: AlphaOne, arXiv 2505.24863. Its code is ASTRAL-Group/AlphaOne 98f8ef8, eval/math_eval_efficient.py.
    Differences: AlphaOne switches at 1.4 times the model's mean thinking length on the test set, a constant in its
    code; here it is a number of tokens, which you may take from your own measurements. AlphaOne stops generating at
    "Wait" and writes the close; here a line break stands between. AlphaOne lists line breaks (",\\n\\n" and so on),
    the tokens that contain a blank line; here a blank line is found however it is split into tokens.
    """

    slow_tokens: int = field(default=1024, kw_only=True)
    wait: str = field(default="Wait", kw_only=True)
    wait_probability: float = field(default=1.0, kw_only=True)
    slow: tuple[str, ...] = field(default=("wait",), kw_only=True)
    separators: tuple[str, ...] = field(default=BLANK_LINE, kw_only=True)

    @classmethod
    def examples(cls) -> tuple[Control, ...]:
        return (cls(slow_tokens=512),)

    def _check(self) -> None:
        checked_count("slow_tokens", self.slow_tokens, 1)
        if self.max_tokens is not None and self.slow_tokens > self.max_tokens:
            raise ValueError(f"slow_tokens={self.slow_tokens} is more than max_tokens={self.max_tokens}")
        checked_text("wait", self.wait)
        if self.wait is None:
            raise TypeError("wait must be a text: what is written in the slow phase")
        object.__setattr__(
            self, "wait_probability", checked_number("wait_probability", self.wait_probability, 1e-9, 1.0)
        )
        object.__setattr__(self, "slow", checked_texts("slow", self.slow))
        object.__setattr__(self, "separators", checked_texts("separators", self.separators))

    @property
    def moves_probability(self) -> bool:
        return True

    @property
    def statistics(self) -> frozenset[str]:
        return frozenset({_UNIFORM.kind})

    def compile(self, binding: Binding) -> Processor[Any]:
        ending = BudgetMachine(self._limits(binding), self.closing(binding), binding)
        return chain(ending, PhasedSpeedMachine(self, ending, binding), *self._around(binding))


class PhasedSpeedState(NamedTuple):
    """State of one sequence under `PhasedSpeed`."""

    separator: int = BEGIN  #: cursor in the separators
    phrase: int = BEGIN  #: cursor in the phrases of `slow`
    at_break: bool = False  #: whether a separator has just ended
    write: bool = False  #: whether `wait` is to be written next
    over: bool = False  #: whether thinking is to be closed


class PhasedSpeedMachine(Processor[PhasedSpeedState]):
    """The processor of the two phases; a `BudgetMachine` chained with it enforces the limits."""

    __slots__ = ("_edits", "_wake_tokens", "control", "ending", "line_break", "phrases", "script", "separators")

    def __init__(self, control: PhasedSpeed, ending: BudgetMachine, binding: Binding) -> None:
        self.control = control
        self.ending = ending
        self.script = Script(spell(binding.vocabulary, control.wait, "wait"), "slow")
        check_phrases(binding, {"wait": self.script.ids})
        self.separators = phrases(binding.vocabulary, control.separators, exact=True)
        self.phrases = phrases(binding.vocabulary, control.slow, apart=binding.markers.single)
        self.line_break = line_break(binding.vocabulary, "PhasedSpeed")
        self._edits: dict[int, Edit] = {}
        self._wake_tokens = self.separators.wake_tokens | self.phrases.wake_inside_word | {self.line_break}

    def init(self, track: Track) -> PhasedSpeedState:
        return PhasedSpeedState()

    def _fast(self, track: Track) -> bool:
        return track.thinking_spent >= self.control.slow_tokens

    def observe(self, state: PhasedSpeedState, before: Track, after: Track, token: int, drawn: int) -> PhasedSpeedState:
        if after.phase is not Phase.THINKING:
            return state
        if before.phase is not Phase.THINKING:
            return PhasedSpeedState()
        separator, completed = self.separators.step(state.separator, token)
        phrase, _ = self.phrases.step(state.phrase, token)
        at_break = completed is not None and drawn >= 0
        over = self._replaced(state, before, token, drawn)
        next_state = PhasedSpeedState(separator, phrase, at_break, False, over)
        return state if next_state == state else next_state

    def _replaced(self, state: PhasedSpeedState, before: Track, token: int, drawn: int) -> bool:
        return (
            drawn >= 0
            and drawn != token == self.line_break
            and before.phase is Phase.THINKING
            and self._fast(before)
            and drawn in self._edit(state).redirect
        )

    def wants(self, state: PhasedSpeedState, track: Track) -> frozenset[RowStatistic]:
        thinking = track.phase is Phase.THINKING and state.at_break and not self._fast(track)
        return frozenset({_UNIFORM}) if thinking and self._has_room(track) else NOTHING

    def receive(self, state: PhasedSpeedState, track: Track, statistics: Statistics) -> PhasedSpeedState:
        if not self.wants(state, track):
            return state
        chance = self.control.wait_probability * (1 - track.thinking_spent / self.control.slow_tokens)
        return state._replace(write=statistics[_UNIFORM] < chance)

    def _has_room(self, track: Track) -> bool:
        return self.ending.left(track) > len(self.script.ids)

    def _edit(self, state: PhasedSpeedState) -> Edit:
        cached = self._edits.get(state.phrase)
        if cached is None:
            cached = self._edits[state.phrase] = redirect(self.phrases.completions(state.phrase), self.line_break)
        return cached

    def decide(self, state: PhasedSpeedState, track: Track) -> Decision:
        if track.phase is not Phase.THINKING or track.cursor != START:  # the model may finish a close it has started
            return KEEP
        if not self._fast(track):
            return self.script if state.write else KEEP
        edit = self._edit(state)
        return Close("fast", edit) if state.over else edit

    def explain(self, state: PhasedSpeedState, before: Track, token: int, drawn: int) -> str:
        return "fast" if self._replaced(state, before, token, drawn) else ""

    def idle_tokens(self, state: PhasedSpeedState, track: Track) -> int:
        if track.phase is not Phase.THINKING:
            return FOREVER
        is_idle_any_word = self.separators.is_idle(state.separator) and self.phrases.is_idle(state.phrase)
        if not is_idle_any_word or state.at_break or state.write or state.over:
            return 0
        return FOREVER if self._fast(track) else self.control.slow_tokens - 1 - track.thinking_spent

    def wake_tokens(self, state: PhasedSpeedState, track: Track) -> frozenset[int]:
        return self._wake_tokens
