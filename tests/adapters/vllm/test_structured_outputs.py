"""Which controls go together with vLLM's own structured outputs, by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from thinkpace import (
    BudgetForcing,
    Control,
    LoopBreaker,
    Markers,
    StepBudget,
    StructuredAnswer,
    SuppressExpressions,
    ThinkBudget,
    during,
)
from thinkpace.adapters.vllm.native.structured_outputs import Ends, why_not
from thinkpace.processors import compile_program
from thinkpace.testing import VOCABULARY

[OPEN], [CLOSE] = VOCABULARY.encode("<t>"), VOCABULARY.encode("</t>")


def ends(ids: Sequence[int]) -> bool:
    """As vLLM's parsers of one token: the last marker decides."""
    marked = [token for token in ids if token in (OPEN, CLOSE)]
    return bool(marked) and marked[-1] == CLOSE


MARKERS = Markers("<t>", "</t>")


def reason(*controls: Control, markers: Markers = MARKERS, rule: Ends | None = ends) -> str | None:
    return why_not(controls, compile_program(controls, VOCABULARY, markers), rule)


@pytest.mark.parametrize(
    "control",
    [
        ThinkBudget(9, answer_reserve=0),
        ThinkBudget(9, answer_reserve=0, message="so"),
        BudgetForcing(9, waits=2, final=None, answer_reserve=0),
        StepBudget(3, ("\n",)),
        LoopBreaker(),
        during("thinking", SuppressExpressions(("so",))),
    ],
    ids=repr,
)
def test_what_is_done_at_the_close_goes_together(control: Control) -> None:
    assert reason(control) is None


@pytest.mark.parametrize(
    ("control", "says"),
    [
        (BudgetForcing(9, final="so", answer_reserve=0), "final=None"),
        (ThinkBudget(9, guard=3, answer_reserve=0), "guard"),
        (SuppressExpressions(("so",)), "during('thinking'"),
        (during("answer", SuppressExpressions(("so",))), "during('thinking'"),
        (StructuredAnswer(regex="7"), "both constrain the answer"),
    ],
    ids=repr,
)
def test_what_acts_on_the_answer_does_not(control: Control, says: str) -> None:
    assert says in (reason(control) or "")


def test_a_grammar_from_the_first_token_does_not() -> None:
    assert "--reasoning-parser" in (reason(LoopBreaker(), rule=None) or "")


@pytest.mark.parametrize("markers", [Markers("<t>", "</t>\n"), Markers("<t>", "</t>", "</t>\n"), Markers("<t>", "so")])
def test_a_close_that_ends_elsewhere_does_not(markers: Markers) -> None:
    assert "begin behind another token" in (reason(LoopBreaker(), markers=markers) or "")
