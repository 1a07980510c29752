"""A kit for controls of your own: the laws that every control of ours keeps, and cases that are worked out by hand.

from thinkpace.testing import Case, check_control

def test_question_limit() -> None:
    check_control(QuestionLimit(1), Case("a?a</t>7", "a?</t>a</t>7<eos>", 2, "forced"))
"""

from __future__ import annotations

from thinkpace.testing.cases import Case, run_case
from thinkpace.testing.kit import Checked, check_control
from thinkpace.testing.vocabulary import MARKERS, VOCABULARY

__all__ = ["MARKERS", "VOCABULARY", "Case", "Checked", "check_control", "run_case"]
