"""`ConfidenceExit`: close thinking early when the model is confident."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from thinkpace.processors.budgeting.closer import Closer
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.decisions import (
    FOREVER,
    NO_TOKENS,
    NOTHING,
    Close,
    Decision,
    RowStatistic,
    Statistic,
    Statistics,
)
from thinkpace.processors.core.edit import KEEP
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.tracker import Track
from thinkpace.processors.core.validators import (
    checked_choice,
    checked_count,
    checked_number,
    checked_text,
    checked_texts,
)
from thinkpace.processors.text.expressions import BLANK_LINE
from thinkpace.processors.text.phrases import BEGIN, phrases
from thinkpace.processors.text.vocabulary import spell
from thinkpace.types import Phase

#: threshold and minimum number of looks of each rule, as published; see `ConfidenceExit`
RULES: Mapping[str, tuple[float | None, int]] = {
    "probability": (0.95, 1),
    "entropy": (None, 25),
    "margin": (1.0, 1),
    "trial": (0.95, 1),
}


@dataclass(frozen=True, slots=True, repr=False)
class ConfidenceExit(Closer):
    """Close thinking at the end of a step at which the model is confident.

    Each separator completed in thinking ends a step. A look is one test of the rule there:

    * "probability": the mean, over the tokens of the step, of the largest probability is at least `threshold`. This is
      DEER's measure, applied to the thinking itself; DEER measures a trial answer.
    * "entropy": the variance of the entropy of the next token (nats), as an exponential moving average over the looks,
      is below `threshold`. This is EAT's rule, applied to the thinking itself; EAT looks behind a close that it tries.
    * "margin": closing is almost the likeliest: the largest log-probability is less than `threshold` above that of
      the closing marker (ThinkBrake's rule). Of a close of several tokens it is that of the first one, or of the next
      one where the close is partly written.
    * "trial": DEER's own rule: the model answers greedily after `trial`, with at most `trial_tokens` tokens, and the
      geometric mean of the probabilities of all tokens but the first is at least `threshold`. A trial leaves no trace
      in the text; its tokens are in the receipt's usage as `probe` and `reread`. It needs an engine that can fork.

    The first three need row statistics only, taken at temperature 1, before any edit.

    Args:
        rule: see above.
        threshold: None: as published, 0.95 (DEER) for "probability" and "trial", 1.0 (ThinkBrake) for "margin". EAT's
            code has no default: "entropy" needs one.
        min_looks: looks needed before thinking may be closed. None: as published, 25 for "entropy" (EAT), else 1.
        max_looks: maximum of trials, 1 or more (DEER: 10). Other rules look without a limit.
        decay: weight of the newest look in the moving average of "entropy", in (0, 1]. EAT: looks = 4 / decay.
        separators: texts that end a step. Default: a blank line, as EAT; DEER looks where the thought would switch.
        trial: text that asks for the trial answer. Default: DEER's text for mathematics.
        trial_tokens: maximum length of a trial answer in tokens, 2 or more.

    Raises:
        TypeError, ValueError: for numbers out of range, an unknown rule, or "entropy" without a threshold.

    >>> ConfidenceExit("margin")
    ConfidenceExit(rule='margin')

    Source: DEER, arXiv 2504.15895; EAT, arXiv 2509.26522; ThinkBrake, arXiv 2510.00546. Code: iie-ycx/DEER c9dd19f,
    vllm-deer.py, and xidulu/EAT 93a46f7, early_stopping_utils.py. Difference from DEER: the trial is greedy.
    """

    rule: str = "probability"
    threshold: float | None = None
    min_looks: int | None = None
    max_looks: int = 10
    decay: float = 0.16
    separators: tuple[str, ...] = BLANK_LINE
    trial: str = "\n**Final Answer**\n\\boxed"
    trial_tokens: int = 20

    phases: ClassVar[tuple[str, ...]] = ("thinking",)

    @classmethod
    def examples(cls) -> tuple[Control, ...]:
        return (cls("margin"), cls("trial"))

    def __post_init__(self) -> None:
        checked_choice("rule", self.rule, RULES)
        if self.threshold is not None:
            most = 1.0 if self.rule in ("probability", "trial") else 1e4
            object.__setattr__(self, "threshold", checked_number("threshold", self.threshold, 0.0, most))
        elif RULES[self.rule][0] is None:
            raise ValueError(f"rule={self.rule!r} needs a threshold: none was published as a default")
        if self.min_looks is not None:
            checked_count("min_looks", self.min_looks, 1)
        checked_count("max_looks", self.max_looks, 1)
        object.__setattr__(self, "decay", checked_number("decay", self.decay, 1e-6, 1.0))
        object.__setattr__(self, "separators", checked_texts("separators", self.separators))
        checked_text("trial", self.trial)
        if self.trial is None:
            raise TypeError("trial must be a text: what a trial answer is asked for with")
        checked_count("trial_tokens", self.trial_tokens, 2)

    @property
    def statistics(self) -> frozenset[str]:
        return frozenset({_NEEDS[self.rule]})

    def compile(self, binding: Binding) -> ConfidenceExitMachine:
        return ConfidenceExitMachine(self, binding)


_NEEDS: Mapping[str, Statistic] = {
    "probability": "top_probability",
    "entropy": "entropy",
    "margin": "close_margin",
    "trial": "trial",
}


class ConfidenceExitState(NamedTuple):
    """State of one sequence under `ConfidenceExit`."""

    cursor: int = BEGIN  #: cursor in the separators
    looking: bool = False  #: whether a step has just ended
    looks: int = 0  #: looks so far
    mean: float = 0.0  #: "probability": mean over the step; "entropy": moving average
    spread: float = 0.0  #: "entropy": moving average of the variance
    seen: int = 0  #: "probability": number of probabilities in `mean`
    sure: bool = False  #: whether thinking is to be closed


class ConfidenceExitMachine(Processor[ConfidenceExitState]):
    """The processor of `ConfidenceExit`."""

    __slots__ = ("_wants", "control", "every", "kind", "least", "separators", "threshold")

    def __init__(self, control: ConfidenceExit, binding: Binding) -> None:
        self.control = control
        default, looks = RULES[control.rule]
        self.threshold = control.threshold if control.threshold is not None else default or 0.0
        self.least = control.min_looks if control.min_looks is not None else looks
        self.separators = phrases(binding.vocabulary, control.separators, exact=True)
        self.every = control.rule == "probability"  # needs a row statistic for every token
        suffix = spell(binding.vocabulary, control.trial, "trial") if control.rule == "trial" else ()
        self.kind = _NEEDS[control.rule]
        self._wants = frozenset({RowStatistic(self.kind, suffix, control.trial_tokens if suffix else 0)})

    def init(self, track: Track) -> ConfidenceExitState:
        return ConfidenceExitState()

    def observe(
        self, state: ConfidenceExitState, before: Track, after: Track, token: int, drawn: int
    ) -> ConfidenceExitState:
        if after.phase is not Phase.THINKING:
            return state
        if before.phase is not Phase.THINKING:
            return ConfidenceExitState(looks=state.looks)
        cursor, completed = self.separators.step(state.cursor, token)
        looking = completed is not None
        if state.cursor == cursor and not looking and not state.looking and not state.sure:
            return state
        if self.every and looking:
            sure = state.seen > 0 and state.mean >= self.threshold and state.looks + 1 >= self.least
            return ConfidenceExitState(cursor, looking, state.looks + 1, sure=sure)
        return state._replace(cursor=cursor, looking=looking, sure=False)  # `sure` holds at the end of a step only

    def wants(self, state: ConfidenceExitState, track: Track) -> frozenset[RowStatistic]:
        if track.phase is not Phase.THINKING or state.sure:
            return NOTHING
        if self.every:
            return self._wants
        tired = self.control.rule == "trial" and state.looks >= self.control.max_looks
        return self._wants if state.looking and not tired else NOTHING

    def receive(self, state: ConfidenceExitState, track: Track, statistics: Statistics) -> ConfidenceExitState:
        [need] = self._wants
        if need not in statistics or track.phase is not Phase.THINKING or not (self.every or state.looking):
            return state
        number = statistics[need]
        if self.every:
            seen = state.seen + 1
            return state._replace(seen=seen, mean=state.mean + (number - state.mean) / seen)
        looks = state.looks + 1
        mean, spread = state.mean, state.spread
        if self.control.rule == "entropy":
            weight = self.control.decay
            mean = number if looks == 1 else weight * number + (1 - weight) * mean
            spread = 0.0 if looks == 1 else weight * (number - mean) ** 2 + (1 - weight) * spread
            sure = spread < self.threshold
        elif self.control.rule == "margin":
            sure = number < self.threshold
        else:
            sure = number >= self.threshold
        return ConfidenceExitState(state.cursor, False, looks, mean, spread, state.seen, sure and looks >= self.least)

    def decide(self, state: ConfidenceExitState, track: Track) -> Decision:
        return Close("confident") if state.sure and track.phase is Phase.THINKING else KEEP

    def idle_tokens(self, state: ConfidenceExitState, track: Track) -> int:
        if track.phase is not Phase.THINKING:
            return FOREVER
        return 0 if self.every or state.sure or state.looking else FOREVER

    def wake_tokens(self, state: ConfidenceExitState, track: Track) -> frozenset[int]:
        return self.separators.wake_tokens_from(state.cursor) if track.phase is Phase.THINKING else NO_TOKENS

    def skip(self, state: ConfidenceExitState, track: Track, tokens: Sequence[int]) -> ConfidenceExitState:
        passed = track.phase is Phase.THINKING and state.cursor != BEGIN
        return state._replace(cursor=BEGIN) if passed else state
