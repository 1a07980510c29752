"""Intervals against published numbers, and on the edges."""

from __future__ import annotations

import math

import pytest

from thinkpace.eval.stats.intervals import accuracy_interval


def test_wilson_against_a_published_example() -> None:
    """81 of 263: 0.2553 to 0.3662 (Newcombe 1998, Statistics in Medicine 17, table I, method 3)."""
    accuracy, low, high = accuracy_interval([[i < 81] for i in range(263)])
    assert accuracy == pytest.approx(81 / 263)
    assert low == pytest.approx(0.2553, abs=5e-5)
    assert high == pytest.approx(0.3662, abs=5e-5)


def test_samples_of_one_question_are_not_independent() -> None:
    """Ten copies of every sample are no more evidence than one: the interval must not shrink."""
    once = accuracy_interval([[i % 2 == 0] for i in range(100)])
    copied = accuracy_interval([[i % 2 == 0] * 10 for i in range(100)])
    assert copied[2] - copied[1] == pytest.approx(once[2] - once[1], rel=0.1)


def test_all_right_is_not_certain() -> None:
    _, low, high = accuracy_interval([[True]] * 20)
    assert low < 0.9 < high


def test_nothing_is_undefined_and_a_question_without_samples_is_an_error() -> None:
    assert all(math.isnan(number) for number in accuracy_interval([]))
    with pytest.raises(ValueError, match="no samples"):
        accuracy_interval([[], [True]])


def test_the_bootstrap_is_seeded() -> None:
    data = [[True, False], [True, True], [False, False], [True, False]]
    assert accuracy_interval(data, seed=3) == accuracy_interval(data, seed=3)
