"""Intervals against published numbers, by law, and on the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkpace.eval.stats.intervals import accuracy_interval, mean_interval, share_interval


def test_agresti_coull_by_hand() -> None:
    """81 of 263: Wilson's midpoint (81 + z^2 / 2) / (263 + z^2), and the normal interval of it."""
    accuracy, low, high = accuracy_interval([[i < 81] for i in range(263)])
    z2 = 1.959964**2
    middle = (81 + z2 / 2) / (263 + z2)
    half = math.sqrt(z2 * middle * (1 - middle) / (263 + z2))
    assert accuracy == pytest.approx(81 / 263)
    assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-6)


def test_samples_of_one_question_are_not_independent() -> None:
    """Ten copies of every sample are no more evidence than one: the interval must not shrink."""
    once = accuracy_interval([[i % 2 == 0] for i in range(100)])
    copied = accuracy_interval([[i % 2 == 0] * 10 for i in range(100)])
    assert copied[2] - copied[1] == pytest.approx(once[2] - once[1], rel=0.1)


def test_independent_samples_are_evidence() -> None:
    rng = np.random.default_rng(0)
    once = accuracy_interval([[bool(rng.random() < 0.5)] for _ in range(100)])
    many = accuracy_interval([(rng.random(16) < 0.5).tolist() for _ in range(100)])
    assert many[2] - many[1] == pytest.approx((once[2] - once[1]) / 4, rel=0.2)


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_near_the_ends_intervals_cover(share: float) -> None:
    """E8: 100 questions with 4 samples; the bootstrap covered 0.868 at .99 and 0.898 at .01."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        _, low, high = share_interval(rng.binomial(4, share, 100).tolist(), [4] * 100)
        held += low <= share <= high
    assert held / 400 >= 0.93


def test_all_right_is_not_certain() -> None:
    _, low, high = accuracy_interval([[True]] * 20)
    assert low < 0.9 < high


def test_more_samples_of_few_questions_are_no_certainty() -> None:
    """A bootstrap over questions that are all alike has no width: three questions, all right, are still three."""
    assert accuracy_interval([[True, True]] * 3) == pytest.approx(accuracy_interval([[True]] * 3))
    accuracy, low, high = accuracy_interval([[True, False]] * 3)
    assert accuracy == 0.5
    assert low < 0.2 < 0.8 < high


def test_nothing_is_undefined_and_a_question_without_samples_is_an_error() -> None:
    assert all(math.isnan(number) for number in (*accuracy_interval([]), *mean_interval([])))
    for interval in (accuracy_interval, mean_interval):
        with pytest.raises(ValueError, match="no samples"):
            interval([[], [True]])


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=5), min_size=2, max_size=20))
def test_the_interval_holds_the_share(samples: list[list[bool]]) -> None:
    share, low, high = accuracy_interval(samples)
    assert 0 <= low <= share <= high <= 1
    assert low < high


def test_a_mean_by_hand() -> None:
    """1, 2, 3: Student's 4.3027 with two degrees of freedom, times 1 / sqrt(3)."""
    assert mean_interval([[1.0], [2.0], [3.0]]) == pytest.approx((2.0, 2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))
    assert math.isnan(mean_interval([[1.0, 2.0]])[1])
