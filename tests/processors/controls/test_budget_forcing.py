"""BudgetForcing: cases to check by hand. `says` is what the model would say, `text` what comes of it."""

from __future__ import annotations

from thinkpace import BudgetForcing
from thinkpace.testing import Case, run_case


def test_wait_is_written_instead_of_closing() -> None:
    run_case(
        Case(
            "a</t>7",
            "aWaitWait</t>7<eos>",
            3,
            "natural",
            (BudgetForcing(waits=2, answer_reserve=0, final=None),),
            waits=2,
        )
    )


def test_the_final_text_follows_a_forced_close() -> None:
    run_case(Case("aaa</t>7", "aa</t>soa</t>7<eos>", 2, "forced", (BudgetForcing(2, final="so", answer_reserve=0),)))


def test_a_wait_needs_room_for_itself_and_one_token_more() -> None:
    """`Wait` would be token 2 of 2: the close is honoured."""
    run_case(Case("a</t>7", "a</t>7<eos>", 1, "natural", (BudgetForcing(2, waits=1, final=None, answer_reserve=0),)))
