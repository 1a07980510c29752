"""Answers are taken from the answer part only, and a failure is no verdict on the model."""

from __future__ import annotations

import pytest

from thinkpace import Receipt, Usage
from thinkpace.eval.extraction import extract
from thinkpace.eval.grade import grade
from thinkpace.eval.graders import same
from thinkpace.processors import Completion


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("\nFinal Answer: 7", "7"),
        ("Final Answer:7", "7"),
        ("Final Answer: 3\nNo. Final answer: 4", "4"),
        ("Final Answer: $\\boxed{12}$", "12"),
        ("so \\boxed{1} and \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("20 - x = 12; x = 8. #### 8", "8"),
        ("Final Answer:", None),
        ("**Final Answer:** 42", "42"),
        ("**Final Answer**: 42", "42"),
        ("Final Answer: **42**", "42"),
        ("Final Answer: \\(42\\)", "42"),
        ("\\boxed{42}\nFinal Answer:", "42"),
        ("\\boxed{}", None),
        ("\\boxed{1", None),
        ("no idea", None),
        ("", None),
    ],
)
def test_extract(answer: str, found: str | None) -> None:
    assert extract(answer) == found


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("7", "7", True),
        ("7.0", "7", True),
        ("1,234", "1234", True),
        ("1234 apples", "1234", False),  # a known harness defect reads this as 123
        ("-5", "5", False),
        ("12", "123", False),
        ("Yes", "yes.", True),
        ("1,2", "12", False),
    ],
)
def test_same(one: str, other: str, equal: bool) -> None:
    assert same(one, other) is equal
    assert same(other, one) is equal


def completion(answer: str, end: str = "natural", finish: str = "stop") -> Completion:
    receipt = Receipt((), (), Usage(), 0, end, finish == "stop")  # type: ignore[arg-type]  # one of its four words
    return Completion((), (), "", "Final Answer: 7", answer, receipt, finish, 0)  # type: ignore[arg-type]  # likewise


def test_verdicts() -> None:
    assert grade(completion("Final Answer: 7"), "7") == ("right", "7")
    assert grade(completion("Final Answer: 8"), "7") == ("wrong", "8")
    assert grade(completion("hm"), "7") == ("no_answer", None)
    assert grade(completion("hm", finish="length"), "7") == ("truncated", None)
    assert grade(completion("", "open", "length"), "7") == ("truncated", None), "its thoughts are not its answer"
