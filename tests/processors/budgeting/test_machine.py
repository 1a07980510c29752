"""Bad input is refused when the control is built or compiled, with a sentence that says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from thinkpace import BudgetForcing, Control, Markers, ThinkBudget, UnsupportedControl, control_from_json
from thinkpace.adapters.scripted import WordVocabulary
from thinkpace.processors import compile_program
from thinkpace.testing import MARKERS, VOCABULARY


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (ThinkBudget, {"max_tokens": -2}, "max_tokens must be >= 0, or -1 or None"),
        (ThinkBudget, {"max_tokens": 2.0}, "max_tokens must be a whole number"),
        (ThinkBudget, {"max_tokens": True}, "max_tokens must be a whole number"),
        (ThinkBudget, {"max_tokens": "5"}, "max_tokens must be a whole number"),
        (ThinkBudget, {"min_tokens": -1}, "min_tokens must be >= 0"),
        (ThinkBudget, {"max_tokens": 3, "min_tokens": 4}, "min_tokens=4 is more than max_tokens=3"),
        (ThinkBudget, {"answer_reserve": -1}, "answer_reserve must be >= 0"),
        (BudgetForcing, {"waits": -1}, "waits must be >= 0"),
        (BudgetForcing, {"waits": 1.5}, "waits must be a whole number"),
        (BudgetForcing, {"wait": ""}, "wait must not be empty"),
        (BudgetForcing, {"wait": 3}, "wait must be a text"),
        (BudgetForcing, {"final": ""}, "final must not be empty"),
        (BudgetForcing, {"final_always": 1}, "final_always must be True or False"),
        (BudgetForcing, {"final": None, "final_always": True}, "final_always needs a final text"),
    ],
)
def test_bad_numbers(kind: type[Control], fields: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        kind(**fields)


@pytest.mark.parametrize(
    ("control", "message"),
    [
        (BudgetForcing(waits=1, wait="Hmm"), "cannot spell wait 'Hmm'"),
        (BudgetForcing(final="Final Answer:"), "cannot spell final"),
        (BudgetForcing(waits=1, wait="so</t>", final=None), "wait must not hold the closing marker"),
        (BudgetForcing(waits=1, wait="<t>", final=None), "wait must not hold the opening marker"),
        (BudgetForcing(waits=1, wait="a<eos>", final=None), "wait must not hold an end-of-sequence"),
        (ThinkBudget(5, answer_reserve=40), "leaves no room for thinking"),
        (ThinkBudget(min_tokens=40, answer_reserve=0), "min_tokens=40 are asked for"),
        (BudgetForcing(final="so<eos>"), "final must not hold an end-of-sequence"),
        (BudgetForcing(final="so<t>"), "final must not hold the opening marker"),
        (BudgetForcing(final="so</t>"), "final must not hold the closing marker"),
    ],
)
def test_what_cannot_work_here(control: Control, message: str) -> None:
    with pytest.raises(UnsupportedControl, match=message):
        compile_program([control], VOCABULARY, MARKERS[0], max_new_tokens=40)


def test_phrases_that_would_be_taken_for_markers() -> None:
    with pytest.raises(UnsupportedControl, match="must not begin with the end of the closing marker"):
        compile_program([BudgetForcing(waits=1, wait=">a", final=None, approximate=True)], VOCABULARY, MARKERS[1])
    with pytest.raises(UnsupportedControl, match="forced_close must not hold an end-of-sequence"):
        compile_program([ThinkBudget(1)], VOCABULARY, Markers("<t>", "</t>", "</t><eos>"))


def test_markers_that_the_vocabulary_lacks() -> None:
    with pytest.raises(UnsupportedControl, match="cannot spell the opening marker"):
        compile_program([ThinkBudget(5)], VOCABULARY, Markers("[THINK]", "[/THINK]"))


def test_a_close_that_ends_the_sequence_is_refused() -> None:
    vocabulary = WordVocabulary(("<t>", "<eos>", "a"))
    with pytest.raises(UnsupportedControl, match="ends the sequence"):
        compile_program([ThinkBudget(5)], vocabulary, Markers("<t>", "<eos>"))


@pytest.mark.parametrize(
    ("open_", "close", "forced", "message"),
    [
        ("", "</t>", "", "both markers need a text"),
        ("<t>", "<t>", "", "must differ"),
        ("<t>", "</t>", "so", "must hold the close"),
    ],
)
def test_bad_markers(open_: str, close: str, forced: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Markers(open_, close, forced)


def test_something_that_is_no_control() -> None:
    with pytest.raises(TypeError, match="expected a control"):
        compile_program([512], VOCABULARY, MARKERS[0])  # type: ignore[list-item]  # the mistake


def test_unknown_json() -> None:
    with pytest.raises(ValueError, match="unknown control 'Budget'"):
        control_from_json({"control": "Budget"})
    with pytest.raises(ValueError, match="has no field 'max'"):
        control_from_json({"control": "ThinkBudget", "max": 5})


def test_minus_one_is_none() -> None:
    assert ThinkBudget(-1) == ThinkBudget(None)
    assert BudgetForcing(-1).max_tokens is None
