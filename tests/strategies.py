"""Hypothesis strategies: edits, controls, and token streams on a small vocabulary with awkward markers."""

from __future__ import annotations

from hypothesis import strategies as st

from thinkpace import BudgetForcing, Control, Markers, ThinkBudget
from thinkpace.adapters.scripted import WordVocabulary
from thinkpace.processors import Edit

SIZE = 6
IDS = st.integers(0, SIZE - 1)

#: single-token markers, and markers of several tokens whose beginnings are ordinary words
VOCABULARY = WordVocabulary(("<", "/", "think", ">", "Wait", "so", "a", "\n", "<eos>", "<t>", "</t>", "Q", "7"))
MARKERS = (Markers("<t>", "</t>"), Markers("<think>", "</think>"), Markers("<think>", "</think>", "\n</think>\n"))
TOKENS = st.lists(st.integers(0, VOCABULARY.size - 1), max_size=30)


def sets(most: int = 3) -> st.SearchStrategy[frozenset[int]]:
    return st.frozensets(IDS, max_size=most)


@st.composite
def edits(draw: st.DrawFn) -> Edit:
    """Edits that leave at least one token. Biases are whole numbers: their sums are exact in any order."""
    dropped = draw(sets(2)) | draw(sets(1))
    redrawn = draw(st.frozensets(st.sampled_from(sorted(dropped)), max_size=1)) if dropped else frozenset()
    only = draw(st.none() | st.frozensets(IDS, min_size=1, max_size=4).filter(lambda ids: bool(ids - dropped)))
    bias = draw(st.dictionaries(IDS, st.integers(-3, 3).map(float), max_size=3))
    redirect = draw(st.dictionaries(IDS, IDS, max_size=2))
    return Edit(only, dropped - redrawn, redrawn, bias, redirect)


@st.composite
def controls(draw: st.DrawFn) -> Control:
    """Any control, with numbers small enough for everything to happen."""
    limit = draw(st.none() | st.integers(0, 12))
    least = draw(st.integers(0, 6 if limit is None else min(6, limit)))
    reserve = draw(st.integers(0, 3))
    if draw(st.booleans()):
        return ThinkBudget(limit, least, reserve)
    return BudgetForcing(
        limit,
        least,
        draw(st.integers(0, 3)),
        draw(st.sampled_from(["Wait", "Wait so", "so", None]).map(lambda text: text and text.replace(" ", ""))),
        draw(st.sampled_from(["so", "aso", None])),
        answer_reserve=reserve,
    )
