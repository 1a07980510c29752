"""Sets of characters against Python's sets, and the bytes of UTF-8 against Python's codec."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from thinkpace.processors.text.character_sets import INVALID, LAST, Decoder, Ranges, category, joined, members, without

CODES = st.integers(0, LAST) | st.sampled_from((0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, LAST))
SETS = st.lists(st.tuples(CODES, CODES).map(lambda pair: (min(pair), max(pair))), max_size=4).map(joined)


def has(ranges: Ranges, code: int) -> bool:
    return any(low <= code <= high for low, high in ranges)


@given(SETS, CODES)
def test_the_other_characters(ranges: Ranges, code: int) -> None:
    assert has(without(ranges), code) != has(ranges, code)
    assert without(without(ranges)) == ranges


@given(CODES.filter(lambda code: not 0xD800 <= code < 0xE000))
def test_categories_are_those_of_python(code: int) -> None:
    for letter in "dws":
        assert has(category(letter), code) == bool(re.match(rf"\{letter}", chr(code)))


@given(st.lists(SETS, max_size=4), CODES)
@example([((0, LAST),), ((0, 0x7F),)], 0xE9)
def test_the_class_of_a_character_from_its_bytes(sets: list[Ranges], code: int) -> None:
    classes = {which: number for number, which in enumerate({which for _, _, which in members(sets)})}
    decoder = Decoder([(low, high, classes[which]) for low, high, which in members(sets)], len(classes))
    which = tuple(i for i, ranges in enumerate(sets) if has(ranges, code))
    if 0xD800 <= code < 0xE000:
        return  # no character
    at = 0
    for byte in chr(code).encode():
        assert at >= 0, "a character ends with its last byte"
        if which:
            assert decoder.reaches[at, classes[which]]
        at = int(decoder.step[at, byte])
        if at == INVALID:
            break
    assert at == (-2 - classes[which] if which else INVALID)


@given(SETS, st.binary(min_size=1, max_size=4))
def test_only_characters_are_read(ranges: Ranges, piece: bytes) -> None:
    """Bytes that are no UTF-8, too long ones and surrogates among them, are of no class."""
    decoder, at, read = Decoder([(low, high, 0) for low, high in ranges], 1), 0, b""
    while at >= 0 and len(read) < len(piece):
        at = int(decoder.step[at, piece[len(read)]])
        read = piece[: len(read) + 1]
    if at < INVALID:
        assert has(ranges, ord(read.decode()))
