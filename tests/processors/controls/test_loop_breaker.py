"""LoopBreaker: cases to check by hand. `says` is what the model would say, `text` what comes of it."""

from __future__ import annotations

from thinkpace import LoopBreaker
from thinkpace.testing import Case, run_case


def test_a_loop_is_found_after_32_tokens() -> None:
    run_case(Case(40 * "a", 32 * "a" + "</t>aaa", 32, "forced", (LoopBreaker(2, 1, 2),), limit=36))


def test_a_longer_period_is_not_looked_for() -> None:
    """`a;` has period 2."""
    run_case(Case(17 * "a;" + "</t>7", 17 * "a;" + "</t>7<eos>", 34, "natural", (LoopBreaker(2, 1, 2),)))


def test_nothing_is_looked_for_before() -> None:
    run_case(Case(31 * "a" + "</t>7", 31 * "a" + "</t>7<eos>", 31, "natural", (LoopBreaker(2, 1, 2),)))
