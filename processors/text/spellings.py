"""All ways in which a tokenizer may write a marker: alone, or merged with its neighbours."""

from __future__ import annotations

import string
from functools import lru_cache

from thinkpace.processors.text.vocabulary import TokenIds, Vocabulary, spell


@lru_cache(maxsize=32)
def marker_spellings(vocabulary: Vocabulary, marker: str, what: str) -> tuple[TokenIds, ...]:
    """All spellings of a marker: alone, and merged with a neighbouring space, line break or punctuation mark.

    A marker that is one special token has one spelling: nothing merges with it.
    """
    bare = spell(vocabulary, marker, what)
    if len(bare) == 1:
        return (bare,)
    variants = {bare: None}
    beside = ("", "\n", "\n\n", "\n\n\n", " ", *string.punctuation)
    for before in beside:
        for after in beside:
            ids = vocabulary.encode(before + marker + after)
            if vocabulary.decode(ids).strip() != (before + marker + after).strip():
                continue
            while len(ids) > 1 and marker in vocabulary.decode(ids[1:]):
                ids = ids[1:]
            while len(ids) > 1 and marker in vocabulary.decode(ids[:-1]):
                ids = ids[:-1]
            if marker in vocabulary.decode(ids):
                variants[ids] = None
    pieces = vocabulary.pieces
    for token in range(vocabulary.size):  # and merged with any other text at its ends
        if token in vocabulary.unused or token in vocabulary.special:
            continue
        if token != bare[0] and pieces[token].endswith(pieces[bare[0]]):
            variants[(token, *bare[1:])] = None
        if token != bare[-1] and pieces[token].startswith(pieces[bare[-1]]):
            variants[(*bare[:-1], token)] = None
    return tuple(variants)
