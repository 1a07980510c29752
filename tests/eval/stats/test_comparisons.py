"""Comparisons against published numbers, by hand, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thinkpace.eval.stats.comparisons import adjusted, detectable, discordant, mcnemar, paired_difference
from thinkpace.eval.stats.intervals import accuracy_interval


def test_a_difference_that_all_questions_share_is_not_certain() -> None:
    """The bootstrap saw ten questions that did not change, and gave an interval of no width."""
    unchanged = {str(i): [i % 2 == 0] for i in range(10)}
    difference, low, high = paired_difference(unchanged, unchanged)
    assert (difference, -low) == (0.0, high)
    assert high == pytest.approx(1.96**2 / (10 + 1.96**2), abs=1e-4), "Wilson's upper end of 0 in 10"
    nothing, everything = ({str(i): [right] for i in range(10)} for right in (False, True))
    difference, low, high = paired_difference(nothing, everything)
    assert (difference, high) == (1.0, 1.0)
    assert 0 < low < 1


def test_a_paired_difference_by_hand() -> None:
    before = {"a": [True], "b": [False], "c": [False], "only here": [True]}
    after = {"a": [True], "b": [True], "c": [False], "only there": [False]}
    difference, low, high = paired_difference(before, after)
    assert difference == pytest.approx(1 / 3)
    assert low <= difference <= high
    assert paired_difference(before, after, seed=1) == paired_difference(before, after, seed=1)
    assert all(math.isnan(number) for number in paired_difference({}, after))


def test_pairs_tell_more_than_two_intervals() -> None:
    """Fifty hard and fifty easy questions, five of them gained: what is common to both does not count."""
    before = {str(i): [i < 50] for i in range(100)}
    after = {str(i): [i < 55] for i in range(100)}
    difference, low, high = paired_difference(before, after)
    assert difference == pytest.approx(0.05)
    assert low > 0
    assert high < 0.12


def test_mcnemar_by_hand() -> None:
    """Ten questions that only one of them has right, nine of them to one side: 2 * (1 + 10) / 2**10."""
    before = {f"q{i}": i == 0 for i in range(20)}
    after = {f"q{i}": 1 <= i < 10 for i in range(20)}
    assert mcnemar(before, after) == pytest.approx(22 / 1024)
    assert mcnemar(before, before) == 1.0
    assert math.isnan(mcnemar(before, {}))


def test_holm() -> None:
    assert adjusted([0.01, math.nan, 0.04, 0.03])[:1] == pytest.approx([0.03])
    assert math.isnan(adjusted([0.01, math.nan])[1])
    assert math.isnan(adjusted([math.nan])[0])


@pytest.mark.parametrize(("questions", "share"), [(100, 0.3), (500, 0.2), (500, 0.05)])
def test_a_detectable_difference_is_detected_with_the_power_it_promises(questions: int, share: float) -> None:
    """By simulation: McNemar's test (normal form) rejects in about 80 % of experiments with that difference."""
    difference = detectable(questions, share)
    rng = np.random.default_rng(0)
    wins = (share + difference) / 2
    counts = rng.multinomial(questions, [wins, share - wins, 1 - share], size=4000)
    won, lost = counts[:, 0], counts[:, 1]
    z = np.abs(won - lost) / np.sqrt(np.maximum(1, won + lost))
    assert np.mean(z > 1.959964) == pytest.approx(0.8, abs=0.06)


def test_small_sets_show_nothing() -> None:
    assert math.isnan(detectable(5, 0.2))
    with pytest.raises(ValueError, match="discordant"):
        detectable(5, 0.0)


def test_discordant() -> None:
    assert discordant({"a": True, "b": False}, {"a": False, "b": False, "c": True}) == (2, 0.5)


def test_more_samples_of_few_questions_are_no_certainty() -> None:
    """A bootstrap over questions that are all alike has no width: three questions, all right, are still three."""
    assert accuracy_interval([[True, True]] * 3) == pytest.approx(accuracy_interval([[True]] * 3))
    accuracy, low, high = accuracy_interval([[True, False]] * 3)
    assert accuracy == 0.5
    assert low < 0.2 < 0.8 < high


def test_the_difference_is_that_of_the_accuracies_when_samples_are_uneven() -> None:
    before, after = {"a": [True] * 4, "b": [False]}, {"a": [True], "b": [False]}
    wanted = accuracy_interval(list(after.values()))[0] - accuracy_interval(list(before.values()))[0]
    assert paired_difference(before, after)[0] == pytest.approx(wanted)


def test_one_question_says_nothing_of_others() -> None:
    difference, low, high = paired_difference({"a": [False]}, {"a": [True]})
    assert difference == 1.0
    assert math.isnan(low)
    assert math.isnan(high)
