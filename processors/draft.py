"""Chain of Draft, enforced while decoding: only so many words in a step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar, NamedTuple

from thinkpace.errors import UnsupportedControl
from thinkpace.processors.base import FOREVER, Binding, Control, Processor
from thinkpace.processors.checks import checked_choice, checked_count, checked_number, checked_texts
from thinkpace.processors.edit import KEEP, Edit, bias, redirect
from thinkpace.processors.lexicon import Sort, lexicon, shapes, sort_of
from thinkpace.processors.match import START, Matcher
from thinkpace.processors.phase import Track
from thinkpace.processors.vocabulary import Vocabulary
from thinkpace.types import Phase

_JOINS = b"'.,"  # inside a word when letters or digits stand on both sides: don't, 3.14, 1,000


@dataclass(frozen=True, slots=True, repr=False)
class DraftLimit(Control):
    """End every step of the thinking after `words_per_step` words.

    A word is a run of letters and digits, however many tokens it takes; an apostrophe, point or comma inside one does
    not end it; a Chinese or Japanese character is one; signs are none (`20 - x = 12` has three words). Hard: where
    the model would begin a word too many, the first of `separators` comes instead (its probability moves there). Soft:
    from the last word on, what ends the step gains `penalty`, which is to say that everything else loses it.

    Args:
        words_per_step: at most, 1 or more. Default: the number that Chain of Draft asks for.
        form: "hard" or "soft".
        separators: what ends a step; the first is what is written, and must be one token. Default: a line break, and
            the semicolon of the published examples.
        penalty: for the soft form, in logits before the temperature; 0 or more.

    Raises:
        TypeError, ValueError: for numbers out of range, or no separators.

    >>> DraftLimit(5)
    DraftLimit()

    Source: Chain of Draft, arXiv 2502.18600 v2, which asks for "5 words at most" in the prompt and does not enforce
    it: enforcing is ours, and docs/controls.md has an ablation.
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

    def compile(self, binding: Binding) -> Drafts:
        ids = binding.vocabulary.encode(self.separators[0])
        pieces = binding.vocabulary.pieces
        written = [token for token in ids if pieces[token].decode(errors="replace") == self.separators[0]]
        if not written:
            raise UnsupportedControl(
                f"this vocabulary has no single token for the separator {self.separators[0]!r}: put another one first"
            )
        return Drafts(self, words(binding.vocabulary, self.separators, binding.markers.single), written[0])


class WordState(NamedTuple):
    """Args: words: begun in this step. word: whether one is under way: 0 no, 1 yes, 2 a sign that may join stands
    after it. separator: cursor in the separators."""

    words: int = 0
    word: int = 0
    separator: int = START


class Words:
    """Counts words and steps through tokens. Made by `words`."""

    def __init__(self, vocabulary: Vocabulary, separators: tuple[str, ...], apart: frozenset[int]) -> None:
        self.texts = tuple(b"" if i in apart else text for i, text in enumerate(lexicon(vocabulary).texts))
        self._separators = Matcher([tuple(text.encode()) for text in separators])
        self.cursors = len(self._separators)  #: that `WordState.separator` may be: from 0
        self._walks: dict[tuple[int, int], tuple[tuple[int, int, bool], ...]] = {}

    def walk(self, word: int, separator: int, piece: bytes) -> tuple[int, int, int, int, bool]:
        """(words begun before a step ended, words since, word, separator, whether a step ended)."""
        first, count, ended, sort = 0, 0, False, Sort.WORD if word == 1 else Sort.OTHER
        for byte in piece:
            sort = sort_of(byte, sort)
            if sort is Sort.WORD:
                count += word == 0
                word = 1
            elif 0xE3 <= byte <= 0xE9:  # ideographs and kana: each is a word
                count, word = count + 1, 0
            elif byte < 0x80 or byte >= 0xC0:
                word = 2 if word == 1 and byte in _JOINS else 0
            separator = self._separators.step(separator, byte)
            if self._separators.found(separator) is not None:
                first, count, ended, word = first if ended else count, 0, True, 0
        return first if ended else count, count if ended else 0, word, separator, ended

    @cached_property
    def shapes(self) -> tuple[list[int], list[int]]:
        """The tokens in classes that do the same to every state, as `lexicon.shapes`."""
        known: dict[tuple[object, ...], int] = {}
        own = {symbol for pattern in self._separators.patterns for symbol in pattern}
        out = bytearray()
        for byte in range(256):
            sorts = tuple(sort_of(byte, before) for before in Sort)
            alone = 0xE3 <= byte <= 0xE9
            begins = byte < 0x80 or byte >= 0xC0
            key = sorts, byte in _JOINS, alone, begins, byte if byte in own else -1
            out.append(known.setdefault(key, byte))
        return shapes(self.texts, bytes(out))

    def after(self, state: WordState, token: int) -> WordState:
        """The state after one more token."""
        piece = self.texts[token] if token < len(self.texts) else b""
        before, since, word, separator, ended = self.walk(state.word, state.separator, piece)
        return WordState(since if ended else state.words + before, word, separator)

    def beyond(self, state: WordState, allowed: int) -> tuple[int, ...]:
        """The tokens that would begin more than `allowed` words before they end the step."""
        return tuple(i for i, begun, _ in self._walked(state) if begun > allowed)

    def ending(self, state: WordState) -> tuple[int, ...]:
        """The tokens that would end the step before they begin another word."""
        return tuple(i for i, begun, ends in self._walked(state) if ends and not begun)

    def _walked(self, state: WordState) -> tuple[tuple[int, int, bool], ...]:
        """For every token (id, words begun before the step ends, whether it ends), the same for all counts of words."""
        key = state.word, state.separator
        if key not in self._walks:
            classes, samples = self.shapes
            walks = [self.walk(*key, self.texts[token]) for token in samples]
            found = [(walk[0], walk[4]) for walk in walks]
            self._walks[key] = tuple((i, *found[classes[i]]) for i, piece in enumerate(self.texts) if piece)
        return self._walks[key]


@lru_cache(maxsize=16)
def words(vocabulary: Vocabulary, separators: tuple[str, ...], apart: frozenset[int] = frozenset()) -> Words:
    """The counter of a vocabulary, made on first use and then kept; `apart`: tokens that are no text."""
    return Words(vocabulary, separators, apart)


class Drafts(Processor[WordState]):
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
        # a marker that has been begun may go on, whatever it spells
        return self._edit(state) if track.phase is Phase.THINKING and track.cursor == START else KEEP

    def _edit(self, state: WordState) -> Edit:
        allowed = max(0, self.control.words_per_step - state.words)
        key = allowed, state.word, state.separator
        known = self._edits.get(key)
        if known is None:
            if self.control.form == "hard":
                known = redirect(self.words.beyond(state, allowed), self.separator)
            elif allowed == 0:
                known = bias(dict.fromkeys(self.words.ending(state), self.control.penalty))
            else:
                known = KEEP
            self._edits[key] = known = KEEP if known == KEEP else known
        return known

    def explain(self, state: WordState, before: Track, token: int, drawn: int) -> str:
        thinking = before.phase is Phase.THINKING and before.cursor == START
        moved = thinking and token == self.separator and drawn in self._edit(state).redirect
        return "draft limit" if moved else ""

    def quiet(self, state: WordState, track: Track) -> int:
        return 0 if track.phase is Phase.THINKING else FOREVER
