"""Comparisons against published numbers, by hand, by law, and by simulation."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkpace.eval.stats.comparisons import UNSEEN, adjusted, detectable, paired, rejections, tango

SAMPLES = st.lists(st.booleans(), min_size=1, max_size=4)
BOTH = st.lists(st.tuples(SAMPLES, SAMPLES), min_size=2, max_size=30)


def sides(won: int, lost: int, both: int, neither: int = 0) -> tuple[dict[str, list[bool]], dict[str, list[bool]]]:
    """Questions with one sample: so many that only the second has right, only the first, both, and neither."""
    kinds = [(False, True)] * won + [(True, False)] * lost + [(True, True)] * both + [(False, False)] * neither
    before, after = ({str(i): [kind[side]] for i, kind in enumerate(kinds)} for side in (0, 1))
    return before, after


@pytest.mark.parametrize(
    ("won", "lost", "pairs", "low", "high"),
    [
        (1, 7, 21, -0.5172, -0.0260),  # Tango 1998, and often since
        (0, 0, 10, -(1.959964**2) / (10 + 1.959964**2), 1.959964**2 / (10 + 1.959964**2)),  # Wilson's upper end
    ],
)
def test_tango_against_published_numbers(won: int, lost: int, pairs: int, low: float, high: float) -> None:
    assert tango(won, lost, pairs) == pytest.approx((low, high), abs=6e-5)


def test_mcnemar_by_hand() -> None:
    """Ten questions that only one has right, nine to one side: z = 8 / sqrt(10)."""
    assert paired(*sides(9, 1, 10)).p_value == pytest.approx(math.erfc(8 / math.sqrt(10) / math.sqrt(2)))
    assert paired(*sides(0, 0, 10)).p_value == 1.0


def test_four_won_and_none_lost_of_thirty_is_one_statement() -> None:
    """E7: the bootstrap left out 0 and the exact test did not; now the interval and the test are the same."""
    found = paired(*sides(4, 0, 13, 13))
    assert (found.interval()[0] > 0) == (found.p_value < 0.05)
    assert found.difference == pytest.approx(4 / 30)


@given(BOTH)
def test_interval_and_test_agree(samples: list[tuple[list[bool], list[bool]]]) -> None:
    """E6, E7: for one and for several samples a question, also for uneven ones."""
    before, after = ({str(i): one[side] for i, one in enumerate(samples)} for side in (0, 1))
    found = paired(before, after)
    low, high = found.interval()
    assert -1 <= low <= found.difference + 1e-9
    assert found.difference - 1e-9 <= high <= 1
    if abs(found.p_value - 0.05) > 1e-6:
        assert (low > 1e-9 or high < -1e-9) == (found.p_value < 0.05)


@given(BOTH)
def test_the_other_way_round_it_is_the_same(samples: list[tuple[list[bool], list[bool]]]) -> None:
    before, after = ({str(i): one[side] for i, one in enumerate(samples)} for side in (0, 1))
    there, back = paired(before, after), paired(after, before)
    assert there.difference == pytest.approx(-back.difference)
    assert there.p_value == pytest.approx(back.p_value)
    assert there.interval() == pytest.approx([-end for end in reversed(back.interval())], abs=1e-6)


def test_every_table_of_ten_questions_is_one_statement() -> None:
    for won, lost in product(range(11), range(11)):
        if won + lost <= 10:
            found = paired(*sides(won, lost, 10 - won - lost))
            low, high = found.interval()
            assert (low > 0 or high < 0) == (found.p_value < 0.05), (won, lost)


def test_several_samples_count_in_the_test_too() -> None:
    """E6: 30 questions, 16 samples, a gain of ten points: the test saw the first samples alone, and rejected 8 %."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(100):
        chances = rng.uniform(0.2, 0.7, 30)
        sides = ({str(i): (rng.random(16) < p + gain).tolist() for i, p in enumerate(chances)} for gain in (0.0, 0.1))
        found += paired(*sides).p_value < 0.05
    assert found >= 80


def test_copies_of_samples_are_no_evidence() -> None:
    rng = np.random.default_rng(1)
    before, after = ({str(i): [bool(rng.random() < p)] for i in range(60)} for p in (0.4, 0.6))
    copied = paired(*({name: one * 16 for name, one in side.items()} for side in (before, after)))
    once = paired(before, after)
    assert copied.difference == once.difference
    assert copied.interval() == pytest.approx(once.interval(), abs=0.02)


def test_a_difference_that_all_questions_share_is_not_certain() -> None:
    found = paired(*sides(10, 0, 0))
    low, high = found.interval()
    assert (found.difference, high) == (1.0, 1.0)
    assert 0 < low < 1


def test_a_paired_difference_by_hand() -> None:
    before = {"a": [True], "b": [False], "c": [False], "only here": [True]}
    after = {"a": [True], "b": [True], "c": [False], "only there": [False]}
    assert paired(before, after).difference == pytest.approx(1 / 3)
    nothing = paired({}, after)
    assert all(map(math.isnan, (nothing.difference, nothing.p_value, nothing.detectable, *nothing.interval())))


def test_pairs_tell_more_than_two_intervals() -> None:
    """Fifty hard and fifty easy questions, five of them gained: what is common to both does not count."""
    low, high = paired(*sides(5, 0, 50, 45)).interval()
    assert low > 0
    assert high < 0.12


def test_one_question_says_nothing_of_others() -> None:
    found = paired({"a": [False, True]}, {"a": [True, True]})
    assert found.difference == 0.5
    assert all(map(math.isnan, (found.p_value, found.detectable, *found.interval())))


def test_the_difference_is_that_of_the_accuracies_when_samples_are_uneven() -> None:
    assert paired({"a": [True] * 4, "b": [False]}, {"a": [True], "b": [False]}).difference == pytest.approx(0.5 - 0.8)


def test_holm() -> None:
    assert adjusted([0.01, math.nan, 0.04, 0.03])[:1] == pytest.approx([0.03])
    assert math.isnan(adjusted([0.01, math.nan])[1])
    assert math.isnan(adjusted([math.nan])[0])


@pytest.mark.parametrize(("questions", "share"), [(100, 0.3), (500, 0.2), (500, 0.05), (30, 0.02), (30, 0.1)])
def test_a_detectable_difference_is_detected_with_the_power_it_promises(questions: int, share: float) -> None:
    """By simulation, also where few questions differ."""
    difference = detectable(questions, share)
    share = min(1.0, share + UNSEEN / questions + difference)
    counts = np.random.default_rng(0).multinomial(
        questions, [(share + difference) / 2, (share - difference) / 2, 1 - share], size=4000
    )
    won, lost = counts[:, 0], counts[:, 1]
    z = np.abs(won - lost) / np.sqrt(np.maximum(1, won + lost))
    assert np.mean(z > 1.959964) == pytest.approx(0.8, abs=0.025)


def test_a_large_difference_does_not_hide_a_small_one() -> None:
    """E9: rows that differed by 92 points said that 52 points may not show. What made the difference is no noise."""
    found = paired(*sides(92, 0, 4, 4))
    assert found.detectable == pytest.approx(detectable(100, 0.92, 0.92))
    assert found.detectable < 0.1


def test_counted_and_approximate_power_meet() -> None:
    assert rejections(400, 0.1001, 0.03) == pytest.approx(rejections(400, 0.0999, 0.03), abs=0.01)


def test_small_sets_show_nothing() -> None:
    assert math.isnan(detectable(3, 0.2)), "three won of three are no evidence"
    with pytest.raises(ValueError, match="discordant"):
        detectable(5, 0.0)


def test_too_few_events_with_several_samples_say_nothing_of_power() -> None:
    """One sample of 30 x 16 differs: its variance between questions is unknown."""
    before = {str(i): [False] * 16 for i in range(30)}
    after = before | {"0": [True] + [False] * 15}
    assert math.isnan(paired(before, after).detectable)
