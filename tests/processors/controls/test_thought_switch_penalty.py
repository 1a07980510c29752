"""ThoughtSwitchPenalty: cases to check by hand. `says` is what the model would say, `text` what comes of it."""

from __future__ import annotations

from thinkpace import ThoughtSwitchPenalty
from thinkpace.testing import Case, run_case


def test_the_window_is_over_after_beta_tokens() -> None:
    """`so` would be token 3 of the thought, and the window has 2."""
    run_case(Case("a so</t>7", "a so</t>7<eos>", 3, "natural", (ThoughtSwitchPenalty(11, 2, ("so",)),)))


def test_alpha_is_taken_off_the_logit() -> None:
    """The script is 10 likelier than the rest: 9 is too little to change it."""
    run_case(Case("a so</t>7", "a so</t>7<eos>", 3, "natural", (ThoughtSwitchPenalty(9, 9, ("so",)),)))


def test_every_thought_has_a_window_of_its_own() -> None:
    """The first `so` is token 5 and free. After it the next is held back as tokens 2 and 3, and comes as token 4."""
    run_case(Case("aaa so so</t>7", "aaa so <<so</t>7<eos>", 9, "natural", (ThoughtSwitchPenalty(11, 3, ("so",)),)))
