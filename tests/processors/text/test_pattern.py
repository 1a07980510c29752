"""Automata of regular expressions against Python's matcher, and what they refuse."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from thinkpace.processors.text.pattern import DEAD, Pattern, TooLarge

ALPHABET = "ab0é漢\n "
ATOMS = st.sampled_from(("a", "b", "é", "漢", ".", r"\d", r"\w", r"\s", r"\W", "[ab]", "[^a]", r"[^\w]", "[0-9é]", ""))


def _repeated(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    times = st.sampled_from(("*", "+", "?", "*?", "{2}", "{1,3}", "{0,2}", "{2,}", "{0}"))
    return st.builds("(?:{}){}".format, inner, times)


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    parts = st.lists(inner, min_size=2, max_size=3)
    return parts.map("".join) | parts.map(lambda found: f"({'|'.join(found)})") | _repeated(inner)


EXPRESSIONS = st.recursive(ATOMS, _joined, max_leaves=6)


def state_of(pattern: Pattern, text: str) -> int:
    """The state after a text; `DEAD` where it left the pattern."""
    state, part = 0, 0
    for byte in text.encode():
        part = int(pattern.decoder.step[part, byte])
        if part < 0:
            state = int(pattern.step[state, -2 - part]) if part < -1 else DEAD
            part = 0
        if state == DEAD:
            return DEAD
    return state


@given(EXPRESSIONS, st.text(ALPHABET, max_size=8))
def test_matches_what_python_matches(expression: str, text: str) -> None:
    try:
        pattern = Pattern(expression)
    except ValueError as error:
        assume("matches no text" not in str(error))
        raise
    state = state_of(pattern, text)
    assert (state != DEAD and bool(pattern.final[state])) == bool(re.fullmatch(expression, text))


@given(EXPRESSIONS)
def test_every_state_leads_to_a_match(expression: str) -> None:
    pattern = Pattern(expression)
    for start in range(len(pattern.step)):
        reached, stack = {start}, [start]
        for state in stack:  # the list grows during iteration
            after = set(pattern.step[state][pattern.step[state] != DEAD].tolist()) - reached
            reached |= after
            stack += after
        assert pattern.final[sorted(reached)].any()


@pytest.mark.parametrize(
    ("before", "pattern", "right", "wrong"),
    [
        ("", "ab|c", "ab c", "a abc b"),
        ("x?", "a|b", "a xb", "x xx"),
        ("", r"[^\d]{2}", "ab é漢", "a a0"),
        ("", r"a+?b", "ab aab", "b a"),
        ("", r"\x41\u00e9\n?", "Aé", "A"),
        ("", "(?P<name>a)(?:b)", "ab", "a"),
    ],
)
def test_by_hand(before: str, pattern: str, right: str, wrong: str) -> None:
    automaton = Pattern(pattern, before)
    for text in right.split():
        assert automaton.final[state_of(automaton, text)], text
    for text in wrong.split():
        state = state_of(automaton, text)
        assert state == DEAD or not automaton.final[state], text


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("a)(b", "cannot read the pattern: unbalanced"),
        ("[0-", "cannot read the pattern: unterminated"),
        ("^a$", "an anchor .* leave it out"),
        (r"a\b", "an anchor"),
        ("a(?=b)", "look-around"),
        ("(?<!a)b", "look-around"),
        (r"(a)\1", "a back reference"),
        ("(a)?(?(1)b|c)", "a back reference"),
        ("(?>a*)b", "an atomic group"),
        ("a*+", "a possessive repetition"),
        ("(?i)a", "IGNORECASE"),
        ("(?s:.)", "sets flags"),
        (r"[^\s\S]", "matches no text"),
        ("\ud800", "matches no text"),
    ],
)
def test_what_is_not_supported_is_named(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "a{100000}",
        "(a){4294967294}",
        "(a{0}){4294967294}",
        "((a{0,1000}){0,1000})",
        "(a|b)*a(a|b){22}",  # 2 ** 23 states
        "(?:(?:a?){30}){30}(?:b?){3000}",
        "(" * 3000 + "a" + ")" * 3000,
        "".join(f"[^{chr(0x4E00 + i)}]" for i in range(6000)),  # every set overlaps with all others
        "".join(chr(0x4E00 + 40 * i) for i in range(9000)),  # as many classes as characters
        f"(?:a(?:{'|' * 10_000})){{1000}}",  # empty alternatives are no positions
        "a" * 100_001,
    ],
    ids=lambda pattern: pattern[:20],
)
def test_what_is_too_large_is_refused(pattern: str) -> None:
    """D35: took minutes and gigabytes in a server, and went on after its client had left."""
    with pytest.raises(TooLarge):
        Pattern(pattern)


@pytest.mark.parametrize("pattern", ["[a-z ]{1,400}", "x[a-z ]{18}", r"[\w ]{1,1000}", r"(.*foo|.*bar|.*baz)\n.*"])
def test_what_people_write_is_small(pattern: str) -> None:
    """D36: an automaton for searching, which nobody needs here, doubled with every repetition of the second."""
    assert len(Pattern(pattern).step) < 4_000
