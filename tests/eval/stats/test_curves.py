"""Numbers about curves, by hand and by law."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkpace.eval.runs.journal import Entry
from thinkpace.eval.stats.curves import (
    CurvePoint,
    area,
    control,
    performance,
    scaling,
    tokens_for,
    underthinking,
)
from thinkpace.eval.stats.underthinking import first_said, score

POINTS = st.lists(
    st.builds(CurvePoint, st.integers(0, 50).map(float), st.sampled_from([0.0, 0.25, 0.5, 1.0])), max_size=8
)


def test_s1s_numbers() -> None:
    """Section 3.2 of s1, on a curve that can be done by hand: slopes of 0.1, 0.15 and 0.2 per 1,000 tokens."""
    curve = [CurvePoint(0, 0.2), CurvePoint(1000, 0.3), CurvePoint(2000, 0.5)]
    assert scaling(curve) == pytest.approx(15.0)
    assert performance(curve) == 0.5
    assert control([500, 900, 3000], [500, 1000, 2000]) == pytest.approx(2 / 3)
    assert control([500, 900], [None, 1000], [0, 1000]) == 0.5


@pytest.mark.parametrize("number", [scaling, performance, area])
def test_undefined_is_nan(number) -> None:  # type: ignore[no-untyped-def]  # three functions of one form
    assert math.isnan(number([]))


def test_one_budget_twice_does_not_blow_up() -> None:
    assert scaling([CurvePoint(10, 0.1), CurvePoint(10, 0.9), CurvePoint(20, 0.5)]) == pytest.approx(0.0)
    assert math.isnan(scaling([CurvePoint(10, 0.1), CurvePoint(10, 0.9)]))


def test_tokens_for() -> None:
    curve = [CurvePoint(10, 0.2), CurvePoint(20, 0.6), CurvePoint(30, 0.4)]
    assert tokens_for(curve, 0.4) == 15
    assert tokens_for(curve, 0.1) == 10
    assert math.isnan(tokens_for(curve, 0.7))


@given(POINTS, st.sampled_from([0.1, 0.25, 0.6]))
def test_the_fewest_tokens_are_on_the_curve(points: list[CurvePoint], goal: float) -> None:
    found = tokens_for(points, goal)
    assert math.isnan(found) == all(point.accuracy < goal for point in points)
    if not math.isnan(found):
        assert found <= min(point.tokens for point in points if point.accuracy >= goal)


@given(POINTS)
def test_the_area_lies_between_the_accuracies(points: list[CurvePoint]) -> None:
    found = area(points)
    if not math.isnan(found):
        assert min(p.accuracy for p in points) - 1e-9 <= found <= max(p.accuracy for p in points) + 1e-9


def test_underthinking() -> None:
    assert underthinking([100, 50], [25, None]) == 0.375
    assert math.isnan(underthinking([], []))
    with pytest.raises(ValueError, match="must end inside"):
        underthinking([10], [11])


def test_underthinking_with_a_judge_and_with_the_surrogate() -> None:
    def sample(text: str, verdict: str) -> Entry:
        return Entry("p", "q", 0, 0, verdict, {"text": text, "expected": "7", "tokens": list(range(len(text)))})

    entries = [sample("a 7 b 71 c", "wrong"), sample("17 71 7x", "truncated"), sample("7", "right")]
    assert first_said(entries[0]) == 3
    assert first_said(entries[1]) is None
    assert score(entries) == pytest.approx((1 - 3 / 10 + 0) / 2)
    assert score(entries, lambda _: 5) == pytest.approx((0.5 + 3 / 8) / 2)
    assert math.isnan(score(entries[2:]))
