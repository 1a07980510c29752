"""Find words and phrases in a stream of tokens, however they are spelled.

It matches bytes, with word boundaries. It finds a word in one token or in seven, after a space, a line break or
nothing, in any case, and never finds `any` in `company`. The caller stores the cursor, an integer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from thinkpace.processors.text.automaton import START, Matcher
from thinkpace.processors.text.lexicon import Lexicon, Sort, folded, lexicon, missing_bytes, sort_of
from thinkpace.processors.text.vocabulary import Vocabulary

_BOUNDARY = 256  # symbol before every word, in addition to the 256 bytes
_SORTS = len(Sort)
NO_TOKENS: frozenset[int] = frozenset()
BEGIN = START * _SORTS + Sort.OTHER  #: the cursor at the start of a text
INSIDE = START * _SORTS + Sort.WORD  #: the cursor inside a word that belongs to no phrase


class Phrases:
    """An automaton over the tokens of one vocabulary. Built by `phrases`.

    A phrase is whole words: where it starts or ends with a letter or digit, none may stand next to it. White space in
    it matches any white space, ASCII letters match both cases. A phrase is complete with the token that contains its
    last letter, even if the next token continues the word, since that cannot be known in time.

    Args:
        vocabulary: the vocabulary of the tokens.
        expressions: the phrases.
        exact: match byte by byte, anywhere; for separators such as a blank line.
        apart: tokens that are not text, such as markers.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        expressions: Sequence[str],
        *,
        exact: bool = False,
        apart: frozenset[int] = NO_TOKENS,
    ) -> None:
        self.expressions = tuple(expressions)
        self.exact = exact
        self._lexicon: Lexicon = lexicon(vocabulary)
        self._texts = tuple(b"" if i in apart else text for i, text in enumerate(self._lexicon.texts))
        self._needles = {self._needle(text): text for text in expressions}
        self._symbols = {self._encoded(needle): needle for needle in self._needles}
        self._numbers = {needle: number for number, needle in enumerate(self._needles, 1)}
        self._matcher = Matcher(self._symbols)
        self._steps: dict[tuple[int, int], tuple[int, bytes | None]] = {}
        self._completions: dict[int, tuple[int, ...]] = {}
        self._going_on: dict[int, frozenset[int]] = {}
        self._within = self._holders()
        #: tokens that start or contain a phrase; from an idle cursor all others lead to an idle cursor
        self.wake_tokens = frozenset(self._within) | self._openers()
        #: wake tokens, and the tokens that change the cursor `INSIDE`
        self.wake_inside_word = self.wake_tokens if exact else self.wake_tokens | self._lexicon.not_word_ends | apart

    def _needle(self, text: str) -> bytes:
        return text.encode() if self.exact else folded(text.encode())

    def _encoded(self, needle: bytes) -> tuple[int, ...]:
        """The symbols of a phrase for the automaton."""
        out, before = list[int](), Sort.OTHER
        for byte in needle:
            sort = sort_of(byte, before)
            if sort is Sort.WORD is not before and not self.exact:
                out.append(_BOUNDARY)
            out.append(byte)
            before = sort
        return tuple(out)

    def _walk(self, cursor: int, piece: bytes) -> tuple[int, bytes | None]:
        """The cursor after a piece, and the last phrase completed in it."""
        node, before = cursor // _SORTS, Sort(cursor % _SORTS)
        match: bytes | None = None
        for at, byte in enumerate(piece):
            if self.exact:
                node = self._matcher.step(node, byte)
                match = self._symbols.get(self._matcher.found(node) or (), match)
                continue
            sort = sort_of(byte, before)
            if sort is Sort.SPACE:
                if before is Sort.SPACE:
                    continue
                byte = 0x20
            elif 0x41 <= byte <= 0x5A:
                byte += 0x20
            if sort is Sort.WORD is not before:
                node = self._matcher.step(node, _BOUNDARY)
            node = self._matcher.step(node, byte)
            if (whole := self._matcher.found(node)) is not None and (
                sort is not Sort.WORD or at + 1 == len(piece) or sort_of(piece[at + 1], sort) is not Sort.WORD
            ):
                match = self._symbols[whole]
            before = sort
        return node * _SORTS + before, match

    def step(self, cursor: int, token: int) -> tuple[int, bytes | None]:
        """The cursor after one more token, and the phrase that it completes, if any (folded unless `exact`)."""
        stepped = self._steps.get((cursor, token))
        if stepped is None:
            if len(self._steps) > 1 << 16:  # bound the size of the cache
                self._steps.clear()
            piece = self._texts[token] if token < len(self._texts) else b""
            if not piece:
                stepped = BEGIN, None
            elif self.is_idle_any_word(cursor) and token not in self.wake_tokens and piece[-1] < 0x80:
                stepped = self.idle_cursor((token,)), None
            else:
                stepped = self._walk(cursor, piece)
            self._steps[cursor, token] = stepped
        return stepped

    def number(self, phrase: bytes) -> int:
        """The number of a phrase, as `step` returns it; from 1."""
        return self._numbers[phrase]

    def wake_tokens_from(self, cursor: int) -> frozenset[int]:
        """Wake tokens at a cursor of `exact` phrases; all other tokens lead to `BEGIN`."""
        if self.is_idle_any_word(cursor):
            return self.wake_tokens
        cached = self._going_on.get(cursor)
        if cached is None:
            firsts = {rest[:1] for rest in self._rests(cursor)}
            continuations = (self._lexicon.beginning_with(first, words=False) for first in firsts)
            cached = self._going_on[cursor] = self.wake_tokens.union(*continuations)
        return cached

    def is_idle_any_word(self, cursor: int) -> bool:
        """Whether no phrase is partly matched, inside a word or not."""
        return cursor // _SORTS == START

    def idle_cursor(self, tokens: Sequence[int]) -> int:
        """The idle cursor after tokens of which none is a wake token."""
        if self.exact or not self._texts[tokens[-1]]:
            return BEGIN
        return START * _SORTS + self._lexicon.last_sorts[tokens[-1]]

    def is_idle(self, cursor: int) -> bool:
        """Whether tokens outside `wake_inside_word` leave the cursor unchanged."""
        return cursor == (BEGIN if self.exact else INSIDE)

    @property
    def cursors(self) -> int:
        """Number of cursors; they are numbered from 0."""
        return len(self._matcher) * _SORTS

    def going_on(self, cursor: int) -> frozenset[int]:
        """The tokens whose step depends on the partly matched phrase; all others step as from an idle cursor."""
        if self.is_idle_any_word(cursor):
            return NO_TOKENS
        relevant = set[int]()
        for rest in self._rests(cursor):
            relevant.update(self._lexicon.beginning_with(rest, words=not self.exact))
            for end in range(1, len(rest)):
                relevant.update(self._lexicon.spelled(rest[:end], words=not self.exact))
        return frozenset(relevant)

    def token_classes(self, size: int) -> tuple[list[int], list[int]]:
        """Group tokens into classes: from an idle cursor, all non-wake tokens of a class lead to the same cursor.

        Returns:
            The class of each of `size` tokens (wake tokens included), and one token of every class.
        """
        class_of: dict[tuple[object, ...], int] = {}
        samples, classes = list[int](), list[int]()
        for token in range(size):
            piece = self._texts[token] if token < len(self._texts) else b""
            sort = self._lexicon.last_sorts[token] if piece else None
            key = sort, bool(piece) and missing_bytes(piece) == -len(piece), token in self.wake_tokens
            if key not in class_of:
                class_of[key] = len(samples)
                samples.append(token)
            classes.append(class_of[key])
        return classes, samples

    def completions(self, cursor: int) -> tuple[int, ...]:
        """The tokens that would complete a phrase as the next token."""
        cached = self._completions.get(cursor)
        if cached is None:
            candidates = set(self._within)
            for rest in self._rests(cursor):
                candidates.update(self._lexicon.beginning_with(rest, words=not self.exact))
            cached = tuple(
                sorted(token for token in candidates if self._walk(cursor, self._texts[token])[1] is not None)
            )
            self._completions[cursor] = cached
        return cached

    def _rests(self, cursor: int) -> set[bytes]:
        """The rests of all partly matched phrases, as bytes."""
        matched = self._matcher.partial_match(cursor // _SORTS)
        out: set[bytes] = set()
        for start in range(len(matched)):
            tail = matched[start:]
            for symbols in self._symbols:
                if symbols[: len(tail)] == tail and len(symbols) > len(tail):
                    rest = bytes(symbol for symbol in symbols[len(tail) :] if symbol != _BOUNDARY)
                    out |= {rest, b" " + rest} if cursor % _SORTS == Sort.SPACE else {rest}
        return out

    def _holders(self) -> tuple[int, ...]:
        """Tokens that contain a whole phrase."""
        pieces = self._texts if self.exact else self._lexicon.words
        needles = sorted(self._needles)
        return tuple(
            i
            for i, piece in enumerate(pieces)
            if piece
            and self._texts[i]
            and any(needle in piece for needle in needles)
            and any(self._walk(start, self._texts[i])[1] is not None for start in (BEGIN, INSIDE))
        )

    def _openers(self) -> frozenset[int]:
        """Tokens that end with the start of a phrase."""
        pieces = self._texts if self.exact else self._lexicon.words
        prefixes = {needle[:k] for needle in self._needles for k in range(1, len(needle))}
        longest = max(map(len, prefixes), default=0)
        openers = set()
        for i, piece in enumerate(pieces):
            if self._texts[i] and any(piece[-k:] in prefixes for k in range(1, min(longest, len(piece)) + 1)):
                after = [self._walk(start, self._texts[i])[0] // _SORTS for start in (BEGIN, INSIDE)]
                if any(self._matcher.partial_match(node) for node in after):
                    openers.add(i)
        return frozenset(openers)


@lru_cache(maxsize=64)
def phrases(
    vocabulary: Vocabulary,
    expressions: tuple[str, ...],
    *,
    exact: bool = False,
    apart: frozenset[int] = NO_TOKENS,
) -> Phrases:
    """The automaton for these phrases, cached. For the arguments see `Phrases`."""
    return Phrases(vocabulary, expressions, exact=exact, apart=apart)
