"""The kit of thinkpace on the two controls, with cases that are worked out by hand."""

from __future__ import annotations

from own_control import QuestionLimit, WaitLimit

from thinkpace.testing import Case, check_control


def test_question_limit() -> None:
    check_control(QuestionLimit(2), Case("a?a?a</t>7", "a?a?</t>a</t>7<eos>", 4, "forced"))
    check_control(QuestionLimit(3), Case("a?a?a</t>7", "a?a?a</t>7<eos>", 5, "natural"))
    check_control(QuestionLimit(1), Case("a</t>a?7", "a</t>a?7<eos>", 1, "natural"))  # the answer may ask


def test_wait_limit() -> None:
    checked = check_control(WaitLimit(2), Case("Wait Wait a</t>7", "Wait Wait</t> a</t>7<eos>", 3, "forced"))
    assert not [reason for reason in checked.skipped if reason.startswith("device") and "torch" not in reason]
    check_control(WaitLimit(3), Case("Waita Wait</t>7", "Waita Wait</t>7<eos>", 4, "natural"))
