"""Edits: four tokens and answers that can be checked by hand, then the laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from support.strategies import SIZE, edits

from thinkpace import NoLegalToken
from thinkpace.adapters.logits.attribution import RowCopy, attribute_draw
from thinkpace.adapters.logits.randomness import probabilities
from thinkpace.adapters.logits.reference import edited
from thinkpace.processors import KEEP, Edit, ban, bias, force, only, redirect, redraw

LN = np.log(np.array([0.1, 0.2, 0.3, 0.4]))  # weights that are their own logits' exponentials


def shares(edit: Edit, temperature: float = 1.0) -> list[float]:
    return [round(float(p), 6) for p in probabilities(edited(LN, edit, temperature), temperature)]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (KEEP, [0.1, 0.2, 0.3, 0.4]),
        (force(1), [0, 1, 0, 0]),
        (only([0, 3]), [0.2, 0, 0, 0.8]),
        (ban(3), [round(1 / 6, 6), round(2 / 6, 6), 0.5, 0]),
        (redraw([3]), [round(1 / 6, 6), round(2 / 6, 6), 0.5, 0]),
        (
            bias({0: float(np.log(2))}),
            [round(0.2 / 1.1, 6), round(0.2 / 1.1, 6), round(0.3 / 1.1, 6), round(0.4 / 1.1, 6)],
        ),
        (redirect([3], 0), [0.5, 0.2, 0.3, 0]),
        (redirect([2, 3], 0), [0.8, 0.2, 0, 0]),
        (ban(0).then(redirect([3], 0)), [round(0.4 / 0.9, 6), round(0.2 / 0.9, 6), round(0.3 / 0.9, 6), 0]),
        (redirect([3], 0).then(ban(0)), [0, 0.4, 0.6, 0]),
        (redirect([3], 0).then(redirect([0], 1)), [0, 0.7, 0.3, 0]),
        (force(3).then(redirect([3], 0)), [1, 0, 0, 0]),
    ],
)
def test_what_an_edit_does_to_four_tokens(edit: Edit, expected: list[float]) -> None:
    assert shares(edit) == expected


def test_moved_probability_is_that_of_the_temperature_it_is_sampled_at() -> None:
    """At temperature 0.5 the shares are the squares 1:4:9:16; the moved share must be one of those."""
    assert shares(redirect([3], 0), 0.5) == [round(17 / 30, 6), round(4 / 30, 6), round(9 / 30, 6), 0]


def test_greedy_takes_the_larger_and_never_the_sum() -> None:
    """0.2 + 0.3 is more than 0.4: adding weights up would flip the argmax to a token that nobody wanted."""
    assert shares(redirect([1], 2), 0.0) == [0, 0, 0, 1]
    assert shares(redirect([3], 0), 0.0) == [1, 0, 0, 0]


def test_where_a_moved_token_came_from() -> None:
    edit = redirect([3], 0)  # weights 0.4 and 0.1: the close came in four of five cases
    drawn = [attribute_draw(RowCopy(LN, edit, 1.0), edit, 0, 1.0, u) for u in (0.0, 0.19, 0.21, 0.99)]
    assert drawn == [0, 0, 3, 3]
    assert attribute_draw(RowCopy(LN, edit, 1.0), edit, 1, 1.0, 0.99) == 1
    assert attribute_draw(RowCopy(LN, edit, 0.0), edit, 0, 0.0, 0.0) == 3, "greedy: the larger of the two"


def test_a_refused_draw_is_told_with_its_probability() -> None:
    edit = redraw([3])
    assert [attribute_draw(RowCopy(LN, edit, 1.0), edit, 1, 1.0, u) for u in (0.0, 0.39, 0.41)] == [3, 3, 1]


def test_an_edit_that_leaves_nothing_raises() -> None:
    with pytest.raises(NoLegalToken, match="no token"):
        force(1).then(ban(1))
    with pytest.raises(NoLegalToken, match="no token"):
        Edit(only=frozenset())


def test_edits_that_do_the_same_are_equal() -> None:
    assert Edit(bias={1: 0.0}, redirect={2: 2}) == KEEP
    assert Edit(ban=frozenset({1}), bias={1: 3.0}, redirect={1: 2}) == ban(1)
    assert only([1, 2]).then(ban(2)) == force(1)
    assert hash(ban(1, 2)) == hash(Edit(ban=frozenset({2, 1})))


@given(edits())
def test_keep_is_the_identity(edit: Edit) -> None:
    assert KEEP.then(edit) == edit == edit.then(KEEP)
    assert Edit().then(edit) == edit == edit.then(Edit())


def composed(*parts: Edit) -> Edit | None:
    try:
        out = parts[0]
        for part in parts[1:]:
            out = out.then(part)
    except NoLegalToken:
        return None
    return out


@given(edits(), edits(), edits())
def test_then_is_associative(a: Edit, b: Edit, c: Edit) -> None:
    left = composed(a, b)
    right = composed(b, c)
    one, other = left and composed(left, c), right and composed(a, right)
    # an edit that leaves no token is refused as soon as it is made, which may be in one grouping only
    assume(one is not None and other is not None)
    assert one == other


@given(edits(), edits())
def test_one_composed_write_equals_two_writes(a: Edit, b: Edit) -> None:
    both = composed(a, b)
    if both is None:
        return
    row = np.random.default_rng(0).normal(size=SIZE)
    for temperature in (0.0, 0.7, 1.0):
        np.testing.assert_allclose(
            edited(row, both, temperature), edited(edited(row, a, temperature), b, temperature), atol=1e-9
        )
