"""Words and phrases on hand-made and on real vocabularies: every spelling, and no substring accidents."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.real_vocabularies import needs_shared, vocabulary

from thinkpace import NOWAIT, THOUGHT_SWITCHES, SuppressExpressions
from thinkpace.adapters.scripted import WordVocabulary
from thinkpace.processors.text.phrases import BEGIN, Phrases

WORDS = WordVocabulary(
    (
        "any",
        " any",
        "comp",
        "Any",
        "thing",
        ",",
        " ",
        "\n",
        "an",
        "y",
        "w",
        "ai",
        "t",
        " other",
        " hand",
        " the",
        "the",
        "<eos>",
        "ANY!",
    )
)


def found(table: Phrases, *words: str) -> list[bytes]:
    """The phrases that are found along some tokens, by their texts."""
    cursor, out = BEGIN, list[bytes]()
    for word in words:
        cursor, phrase = table.step(cursor, WORDS.words.index(word))
        out += [phrase] if phrase is not None else []
    return out


@pytest.mark.parametrize(
    ("words", "times"),
    [
        (("any",), 1),
        (("comp", "any"), 0),
        (("comp", " any"), 1),
        ((",", "any"), 1),
        (("\n", "Any"), 1),
        (("comp", "ANY!"), 0),
        ((",", "ANY!"), 1),
        (("an", "y"), 1),
        (("comp", "an", "y"), 0),
        ((" ", "an", "y", ",", "an", "y"), 2),
    ],
)
def test_whole_words_only(words: tuple[str, ...], times: int) -> None:
    assert len(found(Phrases(WORDS, ["any"]), *words)) == times


def test_a_phrase_is_complete_with_its_last_word_and_not_with_another() -> None:
    table = Phrases(WORDS, ["the other hand"])
    assert found(table, "the", " other", " hand") == [b"the other hand"]
    assert found(table, "the", "\n", " other", " hand") == [b"the other hand"], "any white space is white space"
    assert found(table, " other", " hand") == []
    cursor = table.step(table.step(BEGIN, WORDS.words.index(" the"))[0], WORDS.words.index(" other"))[0]
    assert [WORDS.words[i] for i in table.completions(cursor)] == [" hand"]
    assert table.completions(BEGIN) == (), "words that only begin alike are left alone"


def test_a_blank_line_is_found_however_it_is_cut() -> None:
    table = Phrases(WORDS, ["\n\n"], exact=True)
    assert len(found(table, "\n", "\n")) == 1
    assert len(found(table, "\n", " ", "\n")) == 0
    assert len(found(table, "\n", "\n", "\n")) == 2


@given(st.lists(st.sampled_from(WORDS.words[:-2]), max_size=12))
def test_what_is_found_is_what_a_search_in_the_text_finds(words: list[str]) -> None:
    import re

    table, text = Phrases(WORDS, ["any", "wait"]), "".join(words)
    pattern = r"(?<![A-Za-z])(any|wait)(?![A-Za-z])"
    in_text = re.findall(pattern, text, re.IGNORECASE)
    assert len(found(table, *words)) >= len(in_text), "a word may go on after it was complete, never the other way"


@given(st.lists(st.sampled_from(range(len(WORDS.words) - 2)), max_size=8))
def test_completions_are_the_tokens_that_complete(tokens: list[int]) -> None:
    table, cursor = Phrases(WORDS, ["any", "wait", "the other"]), BEGIN
    for token in tokens:
        cursor = table.step(cursor, token)[0]
    complete = {token for token in range(len(WORDS.words)) if table.step(cursor, token)[1] is not None}
    assert set(table.completions(cursor)) == complete


@needs_shared
@pytest.mark.parametrize("name", ["qwen3", "qwen2.5", "deepseek-v3-r1"])
def test_every_spelling_on_real_vocabularies(name: str) -> None:
    words = vocabulary(name)
    table = Phrases(words, THOUGHT_SWITCHES)
    for text in (
        "Wait",
        " wait",
        "\nWait,",
        "so. WAIT",
        "Hmm",
        " Alternatively",
        "ALTERNATIVELY",
        "\n\nOn second thought",
    ):
        cursor, hits = BEGIN, 0
        for token in words.encode(text):
            cursor, phrase = table.step(cursor, token)
            hits += phrase is not None
        assert hits == 1, text
    for text in ("await", " company", "waiter's", "Alternating current", "another app", "On the other hand"):
        cursor = BEGIN
        for token in words.encode(text):
            cursor, phrase = table.step(cursor, token)
            assert phrase is None or text == "waiter's", text


@needs_shared
@pytest.mark.parametrize("name", ["qwen3", "deepseek-v3-r1"])
def test_nowait_on_a_real_vocabulary_bars_words_and_no_substrings(name: str) -> None:
    words = vocabulary(name)
    hits = SuppressExpressions(NOWAIT).hits(words)
    texts = {hit.text for hit in hits}
    assert {"wait", " wait", "Wait", " Wait", " any", " but", " However", " double"} - texts <= {" double"}
    assert not texts & {" many", " company", " button", " know", " nobody", " within", " Oh" + "io"}
    somewhere = {hit.text for hit in hits if hit.where == "start of a word"}
    assert {"any", "but", "now"} <= somewhere, "inside a word these are parts of others"
    assert all(hit.token < words.size for hit in hits)


@needs_shared
def test_never_said_in_any_spelling() -> None:
    """Whatever is drawn from what is left, the text never holds the word: not in one token, not in seven."""
    import random
    import re

    words = vocabulary("qwen3")
    table, rng = Phrases(words, ["wait", "hold on"]), random.Random(0)
    letters = [
        i
        for i, piece in enumerate(words.pieces)
        if piece.strip().lower()
        in {
            *b"waithold on".split(),
            b"w",
            b"wa",
            b"wai",
            b"ai",
            b"it",
            b"t",
            b"hold",
            b"on",
            b"ho",
            b"ld",
            b",",
            b".",
            b"a",
            b"i",
        }
    ]
    for _ in range(300):
        cursor, said = BEGIN, list[int]()
        for _ in range(30):
            barred = set(table.completions(cursor))
            token = rng.choice([i for i in letters if i not in barred])
            cursor = table.step(cursor, token)[0]
            said.append(token)
        text = words.decode(said)
        assert not re.search(r"(?<![A-Za-z])(wait|hold\s+on)(?![A-Za-z])", text, re.IGNORECASE), text
