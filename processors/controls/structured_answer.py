"""`StructuredAnswer`: constrain the answer, not the thinking, with an automaton."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from thinkpace.processors.controls._json_schema import expression_of
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.decisions import FOREVER
from thinkpace.processors.core.edit import KEEP, Edit
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.tracker import Track
from thinkpace.processors.core.validators import checked_texts
from thinkpace.processors.text.automaton import START, matcher
from thinkpace.types import Phase

if TYPE_CHECKING:
    from thinkpace.processors.text.pattern_index import PatternIndex

_BEFORE = "[ \n]{0,3}"  # templates and models write up to a blank line before an answer
KEPT = 1 << 20  # allowed tokens that a processor keeps, over all nodes: about 100 MB


@dataclass(frozen=True, slots=True, repr=False)
class StructuredAnswer(Control):
    """Constrain the answer to a regular expression, a JSON schema or a list of choices.

    The whole answer must match, from its first token to the end of the sequence. Thinking is not constrained, nor is
    what other controls write after a close (a final text): the pattern holds for the model's own tokens from there on,
    after a natural and after a forced close, and from the start where there is no thinking. Leading white space is
    allowed. A model that has not thought yet may still open thinking.

    Args:
        regex: a regular expression that the whole answer must match, in Python's syntax without flags, anchors,
            look-around and back references.
        json_schema: a JSON schema, as JSON text or as a mapping (stored as text). What would not be enforced
            (`uniqueItems`, `multipleOf`, recursion, ...) is refused. Bounds of numbers must be whole numbers,
            and patterns anchored (`^...$`). Properties come in the order of the schema.
        choices: the answer is one of these texts.

    Raises:
        TypeError, ValueError: unless exactly one of the three is given; for a schema that would not be enforced; for an
            expression that cannot be read, has more than 20,000 positions (its repetitions written out), or whose
            automaton takes more than two million steps to build (about a second).
        UnsupportedControl: when it is compiled, if no token of the vocabulary begins such an answer.

    >>> StructuredAnswer(choices=("yes", "no"))
    StructuredAnswer(choices=('yes', 'no'))

    Source: Willard and Louf, arXiv 2307.09702. Different from the paper: which tokens go on from a state is found when
    a sequence first gets there, not for all states before.
    """

    regex: str | None = None
    json_schema: str | Mapping[str, Any] | None = None
    choices: tuple[str, ...] | None = None

    phases: ClassVar[tuple[str, ...]] = ("answer",)
    rules_answer: ClassVar[bool] = True

    @classmethod
    def examples(cls) -> tuple[Control, ...]:
        return (cls(choices=("yes", "no")),)

    def __post_init__(self) -> None:
        given = [name for name in ("regex", "json_schema", "choices") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of regex, json_schema and choices, got {' and '.join(given) or 'none'}")
        if self.choices is not None:
            object.__setattr__(self, "choices", checked_texts("choices", self.choices))
        if isinstance(self.json_schema, Mapping):
            object.__setattr__(self, "json_schema", json.dumps(self.json_schema))
        for name in ("regex", "json_schema"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{name} must be a text, got {value!r}")
            if value == "":
                raise ValueError(f"{name} must not be empty")
        if isinstance(self.json_schema, str):
            try:
                json.loads(self.json_schema)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"json_schema is no JSON: {error}") from None
        self._checked()

    def compile(self, binding: Binding) -> StructuredAnswerMachine:
        from thinkpace.processors.text.pattern_index import pattern_index  # loads numpy

        return StructuredAnswerMachine(pattern_index(binding.vocabulary, self._checked(), _BEFORE), binding)

    def _checked(self) -> str:
        """The regular expression of the answer, after building its automaton, which is cached."""
        from thinkpace.processors.text.pattern import compiled  # loads numpy

        expression = self._pattern()
        try:
            compiled(expression, _BEFORE)
        except ValueError as error:
            given = "regex" if self.regex is not None else "choices" if self.choices is not None else "json_schema"
            raise ValueError(f"{given}: {error}") from None
        return expression

    def _pattern(self) -> str:
        if self.choices is not None:
            return "|".join(f"({re.escape(choice)})" for choice in self.choices)
        if self.regex is not None:
            return self.regex
        assert isinstance(self.json_schema, str)
        return expression_of(self.json_schema)


class StructuredAnswerState(NamedTuple):
    """State of one sequence under `StructuredAnswer`."""

    node: int  #: node of the automaton; -1 after a token that it does not allow
    said: bool = False  #: whether the model has drawn a token of the answer


class StructuredAnswerMachine(Processor[StructuredAnswerState]):
    """The processor of `StructuredAnswer`.

    Args:
        automaton: the automaton of the pattern.
        binding: the vocabulary and markers.
    """

    __slots__ = ("_edits", "_kept", "automaton", "eos", "opens")

    def __init__(self, automaton: PatternIndex, binding: Binding) -> None:
        self.automaton = automaton
        self.eos = binding.vocabulary.eos
        self.opens = matcher(binding.markers.open_spellings)
        self._edits: dict[tuple[int, int], Edit] = {}
        self._kept = 0

    def init(self, track: Track) -> StructuredAnswerState:
        return StructuredAnswerState(self.automaton.first)

    def observe(
        self, state: StructuredAnswerState, before: Track, after: Track, token: int, drawn: int
    ) -> StructuredAnswerState:
        if before.phase is not Phase.ANSWER or after.phase is not Phase.ANSWER:
            return self.init(after)  # after thinking, a new answer starts
        if drawn < 0 or token in self.eos or state.node < 0:
            return state
        return StructuredAnswerState(self.automaton.after(state.node, token), True)

    def decide(self, state: StructuredAnswerState, track: Track) -> Edit:
        if track.phase is not Phase.ANSWER:
            return KEEP
        opening = -1 if track.opened or (state.said and track.cursor == START) else track.cursor
        if state.node < 0 and (opening < 0 or track.cursor == START):
            return KEEP
        key = state.node, opening
        cached = self._edits.get(key)
        if cached is None:
            allowed = self.allowed(state.node, opening)
            self._kept += len(allowed)
            if self._kept > KEPT:
                self._edits, self._kept = {}, len(allowed)
            cached = self._edits[key] = Edit(only=allowed)
        return cached

    def allowed(self, node: int, opening: int) -> frozenset[int]:
        allowed: set[int] = set()
        if node >= 0:
            allowed.update(self.automaton.following(node)[0].tolist())
            if self.automaton.final(node) or not allowed:
                allowed |= self.eos
        if opening >= 0:
            allowed |= self.opens.advances(opening)
        return frozenset(allowed)

    def unmet(self, state: StructuredAnswerState, track: Track) -> str:
        if state.node >= 0 and self.automaton.final(state.node):
            return ""
        return "the answer does not match: it was cut, or another rule ended it"

    def idle_tokens(self, state: StructuredAnswerState, track: Track) -> int:
        return 0 if track.phase is Phase.ANSWER else FOREVER
