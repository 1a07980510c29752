"""PhasedSpeed: cases to check by hand. `says` is what the model would say, `text` what comes of it."""

from __future__ import annotations

from thinkpace import PhasedSpeed
from thinkpace.testing import Case, run_case


def test_slow_writes_wait_after_a_separator() -> None:
    run_case(
        Case(
            "aa\n</t>7",
            "aa\nWait</t>7<eos>",
            4,
            "natural",
            (PhasedSpeed(slow_tokens=1000, separators=("\n",), answer_reserve=0),),
        )
    )


def test_fast_closes_where_a_slow_word_would_come() -> None:
    """A line break stands in its place; the model says the word in the answer."""
    run_case(
        Case(
            "aa so</t>7",
            "aa \n</t>so</t>7<eos>",
            4,
            "forced",
            (PhasedSpeed(slow_tokens=1, slow=("so",), answer_reserve=0),),
        )
    )


def test_it_is_a_budget_too() -> None:
    run_case(
        Case(
            "aaa</t>7",
            "aa</t>a</t>7<eos>",
            2,
            "forced",
            (PhasedSpeed(2, slow_tokens=2, separators=("\n",), answer_reserve=0),),
        )
    )
