"""Words and phrases that are never said."""

from __future__ import annotations

from dataclasses import dataclass

from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.decisions import FOREVER
from thinkpace.processors.core.edit import Edit
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.core.tracker import Track
from thinkpace.processors.core.validators import checked_texts
from thinkpace.processors.text.markers import BoundMarkers
from thinkpace.processors.text.phrases import BEGIN, INSIDE, Phrases, phrases
from thinkpace.processors.text.vocabulary import Vocabulary

#: the keywords of NoWait (arXiv 2506.08343), mined by its authors from QwQ-32B on AIME 2025
NOWAIT = (
    "wait",
    "alternatively",
    "hmm",
    "but",
    "however",
    "alternative",
    "another",
    "check",
    "double-check",
    "oh",
    "maybe",
    "verify",
    "other",
    "again",
    "now",
    "ah",
    "any",
)


@dataclass(frozen=True, slots=True)
class Hit:
    """A vocabulary entry that may not come.

    Args:
        token: its id.
        text: what it adds to a text; bytes that are no character are shown as such.
        where: "anywhere", or only at the "start of a word".
    """

    token: int
    text: str
    where: str


@dataclass(frozen=True, slots=True, repr=False)
class SuppressExpressions(Control):
    """Never say these words or phrases, in thinking or in the answer.

    Whole words, in any case, after anything, in however many tokens: the token that would complete an expression
    cannot come. `any` in `company` is left alone. What cannot be told apart in time is barred with it: a longer word
    that the tokenizer writes as the expression and a rest (`any` + `thing`). For thinking only:
    `during("thinking", SuppressExpressions())`.

    Args:
        expressions: default: the keywords of NoWait.

    Raises:
        TypeError, ValueError: for no expressions, or empty ones.

    >>> SuppressExpressions(("wait", "hold on"))
    SuppressExpressions(expressions=('wait', 'hold on'))

    Source: NoWait, arXiv 2506.08343, section 3. Differences: NoWait bars every vocabulary entry that holds a keyword
    anywhere, less a list made by hand; here words are whole, and phrases are possible.
    """

    expressions: tuple[str, ...] = NOWAIT

    def __post_init__(self) -> None:
        object.__setattr__(self, "expressions", checked_texts("expressions", self.expressions))

    def compile(self, binding: Binding) -> SuppressExpressionsMachine:
        return SuppressExpressionsMachine(phrases(binding.vocabulary, self.expressions, apart=binding.markers.single))

    def hits(self, vocabulary: Vocabulary, markers: BoundMarkers | None = None) -> list[Hit]:
        """Exactly the entries that cannot come where none of the expressions has been begun, in order of ids.

        After the beginning of an expression of several tokens, further ones cannot: those that would complete it.
        Markers that are one token are left alone whatever they spell, if they are given.
        """
        apart = frozenset[int]() if markers is None else markers.single
        table, pieces = phrases(vocabulary, self.expressions, apart=apart), vocabulary.pieces
        anywhere = set(table.completions(INSIDE))
        return [
            Hit(token, pieces[token].decode(errors="backslashreplace"), _WHERE[token in anywhere])
            for token in table.completions(BEGIN)
        ]


_WHERE = {True: "anywhere", False: "start of a word"}


class SuppressExpressionsMachine(Processor[int]):
    """The processor: the state is the cursor in the expressions."""

    __slots__ = ("_edits", "phrases")

    def __init__(self, table: Phrases) -> None:
        self.phrases = table
        self._edits: dict[int, Edit] = {}

    def init(self, track: Track) -> int:
        return BEGIN

    def observe(self, state: int, before: Track, after: Track, token: int, drawn: int) -> int:
        return self.phrases.step(state, token)[0]

    def decide(self, state: int, track: Track) -> Edit:
        known = self._edits.get(state)
        if known is None:
            known = self._edits[state] = Edit(ban=frozenset(self.phrases.completions(state)))
        return known

    def idle_tokens(self, state: int, track: Track) -> int:
        return FOREVER if self.phrases.is_idle(state) else 0

    def wake_tokens(self, state: int, track: Track) -> frozenset[int]:
        return self.phrases.wake_inside_word
