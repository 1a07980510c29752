"""ConfidenceExit: cases to check by hand. `says` is what the model would say, `text` what comes of it."""

from __future__ import annotations

from thinkpace import ConfidenceExit
from thinkpace.testing import Case, run_case


def test_a_close_too_unlikely_for_the_margin() -> None:
    """Closing is 10 less likely than the script."""
    run_case(Case("a\na</t>7", "a\na</t>7<eos>", 3, "natural", (ConfidenceExit("margin", 9.0, separators=("\n",)),)))


def test_not_before_the_second_look() -> None:
    run_case(
        Case(
            "a\na\na</t>7",
            "a\na\n</t>a</t>7<eos>",
            4,
            "forced",
            (ConfidenceExit("probability", 0.95, 2, separators=("\n",)),),
        )
    )


def test_it_looks_at_the_end_of_steps_only() -> None:
    run_case(Case("aaaa</t>7", "aaaa</t>7<eos>", 4, "natural", (ConfidenceExit("probability", separators=("\n",)),)))
