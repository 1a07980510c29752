"""`SuppressExpressions`: block words and phrases."""

from __future__ import annotations

from collections.abc import Sequence
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
    """A vocabulary entry that is blocked.

    Args:
        token: its id.
        text: the text it decodes to; bytes that are not valid characters are shown as escapes.
        where: "anywhere", or only at the "start of a word".
    """

    token: int
    text: str
    where: str


@dataclass(frozen=True, slots=True, repr=False)
class SuppressExpressions(Control):
    """Block words and phrases, in thinking and in the answer.

    Matches whole words, in any case, after any text, in any number of tokens: the token that would complete an
    expression is banned. `any` inside `company` is left alone. A longer word that the tokenizer writes as an
    expression plus a rest (`any` + `thing`) is blocked too: the two cannot be told apart in time. For thinking only,
    write `during("thinking", SuppressExpressions())`.

    Args:
        expressions: words and phrases to block. Default: the keywords of NoWait.

    Raises:
        TypeError, ValueError: for no expressions, or empty ones.

    >>> SuppressExpressions(("wait", "hold on"))
    SuppressExpressions(expressions=('wait', 'hold on'))

    Source: NoWait, arXiv 2506.08343, section 3. Differences: NoWait bans every vocabulary entry that contains a
    keyword anywhere, except for a hand-made list; here only whole words match, and phrases are possible.
    """

    expressions: tuple[str, ...] = NOWAIT

    def __post_init__(self) -> None:
        object.__setattr__(self, "expressions", checked_texts("expressions", self.expressions))

    def compile(self, binding: Binding) -> SuppressExpressionsMachine:
        return SuppressExpressionsMachine(phrases(binding.vocabulary, self.expressions, apart=binding.markers.single))

    def hits(self, vocabulary: Vocabulary, markers: BoundMarkers | None = None) -> list[Hit]:
        """The entries that are blocked while no expression has been started, in order of ids.

        After the first tokens of an expression, the tokens that would complete it are blocked as well.
        Given `markers`, a marker that is one token is never blocked, whatever it spells.
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
    """The processor of `SuppressExpressions`; its state is the cursor in the expressions."""

    __slots__ = ("_edits", "phrases")

    def __init__(self, table: Phrases) -> None:
        self.phrases = table
        self._edits: dict[int, Edit] = {}

    def init(self, track: Track) -> int:
        return BEGIN

    def read(self, state: int, prompt: Sequence[int]) -> int:
        for token in prompt:
            state = self.phrases.step(state, token)[0]
        return state

    def observe(self, state: int, before: Track, after: Track, token: int, drawn: int) -> int:
        return self.phrases.step(state, token)[0]

    def decide(self, state: int, track: Track) -> Edit:
        cached = self._edits.get(state)
        if cached is None:
            cached = self._edits[state] = Edit(ban=frozenset(self.phrases.completions(state)))
        return cached

    def idle_tokens(self, state: int, track: Track) -> int:
        return FOREVER if self.phrases.is_idle(state) else 0

    def wake_tokens(self, state: int, track: Track) -> frozenset[int]:
        return self.phrases.wake_inside_word
