"""Which tokens go on with a pattern: by hand, by every text that they spell, and beside outlines."""

from __future__ import annotations

import pickle
import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkpace.adapters.scripted import WordVocabulary
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.text.pattern_index import PatternIndex, pattern_index

WORDS = WordVocabulary(("a", "b", "ab", "ba", "7", "77", " ", "é", "<eos>"))


class Bytes(WordVocabulary):
    """Tokens that are parts of characters."""

    def __post_init__(self) -> None:
        super().__post_init__()
        pieces = (b"\xc3", b"\xa9", b"a\xc3", b"\xa9a", b"\xe6", b"\xbc\xa2", b"a", b"<eos>")
        object.__setattr__(self, "pieces", pieces)


SPLIT = Bytes(("1", "2", "3", "4", "5", "6", "7", "<eos>"))


def allowed(index: PatternIndex, vocabulary: WordVocabulary, *path: str) -> set[str]:
    node = index.first
    for word in path:
        node = index.after(node, vocabulary.words.index(word))
        assert node >= 0, word
    return {vocabulary.words[token] for token in index.following(node)[0].tolist()}


def test_by_hand() -> None:
    index = PatternIndex(WORDS, "ab+7?")
    assert allowed(index, WORDS) == {"a", "ab"}
    assert allowed(index, WORDS, "a") == {"b"}
    assert allowed(index, WORDS, "ab") == {"b", "7"}
    assert allowed(index, WORDS, "ab", "7") == set()
    assert index.final(index.after(index.after(0, WORDS.words.index("ab")), WORDS.words.index("7")))
    assert not index.final(index.first)
    assert index.after(index.first, WORDS.words.index("b")) == -1


def test_tokens_that_are_parts_of_characters() -> None:
    index = PatternIndex(SPLIT, "aé?")
    assert allowed(index, SPLIT) == {"3", "7"}
    assert allowed(index, SPLIT, "7") == {"1"}, "no other character begins so"
    assert allowed(index, SPLIT, "3") == {"2"}
    half = index.after(index.first, SPLIT.words.index("3"))
    assert not index.final(half), "half a character is no answer"
    assert index.final(index.after(half, SPLIT.words.index("2")))
    assert allowed(PatternIndex(SPLIT, "[éê]a|漢"), SPLIT) == {"1", "5"}


PATTERNS = ("(ab|b)*7{0,2}", "[ab]{1,3}", ".{2}", r"[^7]+7|é", r"\d+ ?\w", "(a|ab)(ba|7)?")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_text_of_three_tokens(pattern: str) -> None:
    """A path is allowed exactly where its text begins a match: with the tokens that may follow, one is found."""
    index, words = PatternIndex(WORDS, pattern), WORDS.words[:-1]
    matches = {"".join(texts) for n in range(7) for texts in product("ab7 é", repeat=n)}
    matches = {text for text in matches if re.fullmatch(pattern, text)}
    for path in product(range(len(words)), repeat=3):
        text, node = "".join(words[token] for token in path), index.first
        for token in path:
            node = index.after(node, token) if node >= 0 else node
        assert (node >= 0) == any(match.startswith(text) for match in matches) or len(text) > 3, text
        assert (node >= 0 and index.final(node)) == bool(re.fullmatch(pattern, text)), text


@pytest.mark.parametrize("pattern", ["[ab]{1,3}", ".{2}", "a[^7]{0,3}7|é", r"\d{2} ?[ab]", "(a|bab|7 *)b{2,}"])
def test_the_same_tokens_as_outlines(pattern: str) -> None:
    """Where the first match is the longest: outlines drops what comes after it, of `a|ab` the second."""
    outlines_core = pytest.importorskip("outlines_core")
    ids = {piece: [token] for token, piece in enumerate(WORDS.pieces) if token not in WORDS.eos}
    theirs = outlines_core.Index(pattern, outlines_core.Vocabulary(min(WORDS.eos), ids))
    ours = PatternIndex(WORDS, pattern)
    seen = [(ours.first, theirs.get_initial_state())]
    for node, state in seen:  # the list grows during iteration
        tokens = ours.following(node)[0].tolist()
        assert set(tokens) == set(theirs.get_allowed_tokens(state) or ()) - WORDS.eos
        assert ours.final(node) == theirs.is_final_state(state)
        seen += {(ours.after(node, token), theirs.get_next_state(state, token)) for token in tokens} - set(seen)


@given(st.sampled_from(PATTERNS), st.lists(st.integers(0, 7), max_size=6))
def test_a_copy_in_another_process_numbers_alike(pattern: str, tokens: list[int]) -> None:
    index = PatternIndex(WORDS, pattern)
    other, node = pickle.loads(pickle.dumps(index)), index.first
    for token in tokens:
        assert other.after(node, token) == index.after(node, token)
        if (node := index.after(node, token)) < 0:
            break


def test_what_no_token_begins_is_refused() -> None:
    with pytest.raises(UnsupportedControl, match="no token of this vocabulary begins an answer"):
        pattern_index(WORDS, "yes")


def test_an_answer_needs_an_end() -> None:
    endless = WordVocabulary(("a", "<eos>"))
    object.__setattr__(endless, "eos", frozenset[int]())
    with pytest.raises(UnsupportedControl, match="a token that ends the sequence"):
        pattern_index(endless, "a")
