"""Hypothesis strategies: edits, controls, and token streams on a small vocabulary with awkward markers."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from thinkpace import (
    BudgetForcing,
    ConfidenceExit,
    Control,
    DraftLimit,
    LoopBreaker,
    PhasedSpeed,
    StepBudget,
    StructuredAnswer,
    SuppressExpressions,
    ThinkBudget,
    ThoughtBudget,
    ThoughtSwitchPenalty,
)
from thinkpace.processors import Edit
from thinkpace.processors.controls.gates import After, During
from thinkpace.testing import VOCABULARY

SIZE = 6
IDS = st.integers(0, SIZE - 1)

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


WORDS = st.lists(st.sampled_from(["wait", "so", "a a", "a7", "wait so"]), min_size=1, max_size=3).map(tuple)
SEPARATORS = st.sampled_from([("\n",), ("\n\n",), (";", "\n"), ("so",)])


@st.composite
def budgets(draw: st.DrawFn) -> Control:
    """Any control that decides when thinking ends, with numbers small enough for everything to happen."""
    limit = draw(st.none() | st.integers(0, 12))
    least = draw(st.integers(0, 6 if limit is None else min(6, limit)))
    common: dict[str, Any] = {
        "answer_reserve": draw(st.integers(0, 3)),
        "landing": draw(st.integers(0, 4 if limit is None else min(4, limit - least))),
        "message": draw(st.sampled_from([None, "\nso", "aa"])),
        "guard": draw(st.sampled_from([0, 0, 1, 4])),
        "hold": draw(st.sampled_from([0, 0, 1, 4])),
        "spans": draw(st.sampled_from([(("so", "7"),), (("a", "a"), ("\n;", "\n"))])),
        "approximate": True,  # programs alone take nothing back
    }
    kind = draw(st.sampled_from([ThinkBudget, BudgetForcing, PhasedSpeed]))
    if kind is ThinkBudget:
        return ThinkBudget(limit, least, **common)
    if kind is PhasedSpeed:
        slow = draw(st.integers(1, 8))
        if limit is not None and slow > limit:
            limit = None
        return PhasedSpeed(limit, least, slow_tokens=slow, separators=draw(SEPARATORS), slow=draw(WORDS), **common)
    return BudgetForcing(
        limit,
        least,
        draw(st.integers(0, 3)),
        draw(st.sampled_from(["Wait", "Waitso", "so", None])),
        draw(st.sampled_from(["so", "aso", None])),
        **common,
    )


#: controls that leave the end of thinking to others, or ask for it
OTHERS = st.one_of(
    st.builds(
        ThoughtSwitchPenalty,
        beta=st.integers(0, 6),
        expressions=WORDS,
        multi_token=st.sampled_from(["last", "first"]),
        first_thought=st.sampled_from(["thinking", "generation"]),
    ),
    st.builds(ThoughtBudget, st.integers(1, 3), expressions=WORDS),
    st.builds(SuppressExpressions, WORDS),
    st.builds(DraftLimit, st.integers(1, 3), st.sampled_from(["hard", "soft"]), st.just(("\n", ";"))),
    st.builds(StepBudget, st.integers(1, 3), SEPARATORS),
    st.builds(LoopBreaker, st.integers(2, 3), st.integers(1, 4), st.integers(1, 8)),
    st.builds(
        ConfidenceExit,
        st.sampled_from(["probability", "entropy", "margin", "trial"]),
        st.sampled_from([0.3, 0.8]),
        st.integers(1, 2),
        separators=SEPARATORS,
        trial=st.just("so"),
    ),
    st.builds(StructuredAnswer, choices=st.just(("7", "so", "aa"))),
    st.builds(StructuredAnswer, regex=st.just("a*(7|so)")),
)


@st.composite
def gated(draw: st.DrawFn) -> Control:
    """A control of `OTHERS`, alone or in a gate."""
    control: Control = draw(OTHERS)
    match draw(st.sampled_from(["bare", "bare", "during", "after"])):
        case "during":
            return During(draw(st.sampled_from(control.phases)), control)
        case "after" if not control.rules_answer:
            return After(draw(st.integers(0, 9)), control)
    return control


def controls() -> st.SearchStrategy[Control]:
    """Any control."""
    return st.one_of(budgets(), budgets(), gated())


@st.composite
def chains(draw: st.DrawFn) -> tuple[Control, ...]:
    """Any few controls that may stand together."""
    others, ending = draw(st.lists(gated(), max_size=3)), draw(st.lists(budgets(), max_size=1))
    ruling = [control for control in others if control.rules_answer]
    return (*(control for control in others if control not in ruling[1:]), *ending)
