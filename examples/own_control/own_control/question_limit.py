"""`QuestionLimit`: close thinking after a number of question marks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thinkpace import Phase
from thinkpace.processors import (
    FOREVER,
    KEEP,
    Binding,
    Close,
    Closer,
    Decision,
    Processor,
    Track,
    checked_count,
    lexicon,
)


@dataclass(frozen=True, slots=True, repr=False)
class QuestionLimit(Closer):
    """Close the thinking block once `max_questions` question marks have been thought.

    Args:
        max_questions: at most, 1 or more, all blocks of thinking together.

    Raises:
        TypeError, ValueError: for a number out of range.
    """

    max_questions: int = 3

    phases: ClassVar[tuple[str, ...]] = ("thinking",)

    def __post_init__(self) -> None:
        checked_count("max_questions", self.max_questions, 1)

    def compile(self, binding: Binding) -> QuestionLimitMachine:
        return QuestionLimitMachine(self.max_questions, binding)


class QuestionLimitMachine(Processor[int]):
    """The processor: its state is the number of question marks so far."""

    __slots__ = ("_marks", "_most", "_questions")

    def __init__(self, most: int, binding: Binding) -> None:
        self._most = most
        texts = lexicon(binding.vocabulary).texts  # the bytes of every token that is text
        self._questions = {token: text.count(b"?") for token, text in enumerate(texts) if b"?" in text}
        self._marks = frozenset(self._questions)

    def init(self, track: Track) -> int:
        return 0

    def observe(self, state: int, before: Track, after: Track, token: int, drawn: int) -> int:
        inside = before.phase is Phase.THINKING is after.phase
        return state + self._questions.get(token, 0) if inside else state

    def decide(self, state: int, track: Track) -> Decision:
        over = track.phase is Phase.THINKING and state >= self._most
        return Close("questions") if over else KEEP

    # Optional: most tokens change nothing, and need not be observed one by one.

    def idle_tokens(self, state: int, track: Track) -> int:
        return 0 if track.phase is Phase.THINKING and state >= self._most else FOREVER

    def wake_tokens(self, state: int, track: Track) -> frozenset[int]:
        return self._marks
