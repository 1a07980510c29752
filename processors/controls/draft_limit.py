"""`DraftLimit`: a limit on the words per thinking step: Chain of Draft, enforced while decoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thinkpace.errors import UnsupportedControl
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.decisions import FOREVER
from thinkpace.processors.core.edit import KEEP, Edit, bias, redirect
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.tracker import Track
from thinkpace.processors.core.validators import checked_choice, checked_count, checked_number, checked_texts
from thinkpace.processors.text.automaton import START
from thinkpace.processors.text.words import Words, WordState, words
from thinkpace.types import Phase


@dataclass(frozen=True, slots=True, repr=False)
class DraftLimit(Control):
    """End every step of the thinking after `words_per_step` words.

    A word is a run of letters and digits, in any number of tokens. An apostrophe, point or comma inside it does not
    end it; every Chinese or Japanese character is a word; signs are not words (`20 - x = 12` has three words). Hard:
    where the model would start one word too many, the first of `separators` is written instead (the probability moves
    to it). Soft: from the last allowed word on, tokens that end the step gain `penalty`, which is equivalent to
    subtracting it from all others.

    Args:
        words_per_step: maximum of words, 1 or more. Default: the number that Chain of Draft asks for.
        form: "hard" or "soft".
        separators: texts that end a step; the first one is written, and must be one token. Default: a line break, and
            the semicolon of the published examples.
        penalty: for the soft form, in logits before the temperature; 0 or more.

    Raises:
        TypeError, ValueError: for numbers out of range, or no separators.

    >>> DraftLimit(5)
    DraftLimit()

    Source: Chain of Draft, arXiv 2502.18600 v2, enforced. The paper asks for "5 words at most" in the prompt and does
    not enforce it. Enforcement is ours; docs/controls.md has an ablation.
    """

    words_per_step: int = 5
    form: str = "hard"
    separators: tuple[str, ...] = ("\n", ";")
    penalty: float = 3.0

    phases: ClassVar[tuple[str, ...]] = ("thinking",)

    def __post_init__(self) -> None:
        checked_count("words_per_step", self.words_per_step, 1)
        checked_choice("form", self.form, ("hard", "soft"))
        object.__setattr__(self, "separators", checked_texts("separators", self.separators))
        object.__setattr__(self, "penalty", checked_number("penalty", self.penalty, 0.0, 1e4))

    @property
    def moves_probability(self) -> bool:
        return self.form == "hard"

    def compile(self, binding: Binding) -> DraftLimitMachine:
        ids = binding.vocabulary.encode(self.separators[0])
        pieces = binding.vocabulary.pieces
        written = [token for token in ids if pieces[token].decode(errors="replace") == self.separators[0]]
        if not written:
            raise UnsupportedControl(
                f"this vocabulary has no single token for the separator {self.separators[0]!r}: put another one first"
            )
        return DraftLimitMachine(self, words(binding.vocabulary, self.separators, binding.markers.single), written[0])


class DraftLimitMachine(Processor[WordState]):
    """The processor of `DraftLimit`."""

    __slots__ = ("_edits", "control", "separator", "words")

    def __init__(self, control: DraftLimit, table: Words, separator: int) -> None:
        self.control = control
        self.words = table
        self.separator = separator
        self._edits: dict[tuple[int, int, int], Edit] = {}

    def init(self, track: Track) -> WordState:
        return WordState()

    def observe(self, state: WordState, before: Track, after: Track, token: int, drawn: int) -> WordState:
        if after.phase is not Phase.THINKING:
            return WordState()
        return self.words.after(state, token) if before.phase is Phase.THINKING else WordState()

    def decide(self, state: WordState, track: Track) -> Edit:
        # the model may finish a marker it has started, whatever it spells
        return self._edit(state) if track.phase is Phase.THINKING and track.cursor == START else KEEP

    def _edit(self, state: WordState) -> Edit:
        allowed = max(0, self.control.words_per_step - state.words)
        key = allowed, state.word, state.separator
        cached = self._edits.get(key)
        if cached is None:
            if self.control.form == "hard":
                cached = redirect(self.words.beyond(state, allowed), self.separator)
            elif allowed == 0:
                cached = bias(dict.fromkeys(self.words.ending(state), self.control.penalty))
            else:
                cached = KEEP
            self._edits[key] = cached = KEEP if cached == KEEP else cached
        return cached

    def explain(self, state: WordState, before: Track, token: int, drawn: int) -> str:
        thinking = before.phase is Phase.THINKING and before.cursor == START
        moved = thinking and token == self.separator and drawn in self._edit(state).redirect
        return "draft limit" if moved else ""

    def idle_tokens(self, state: WordState, track: Track) -> int:
        return 0 if track.phase is Phase.THINKING else FOREVER
