"""The writer of single rows, and drawing before looking, against the reference."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import SIZE, edits

from thinkpace.adapters.logits.attribution import RowCopy, redraw_probability
from thinkpace.adapters.logits.draw_then_edit import draw_then_edit
from thinkpace.adapters.logits.numpy_writer import FORCED_LOGIT, RowWriter
from thinkpace.adapters.logits.randomness import probabilities
from thinkpace.adapters.logits.reference import edited
from thinkpace.processors import Edit, force, redirect

TEMPERATURES = st.sampled_from([0.0, 0.6, 1.0, 1.3])


@given(edits(), TEMPERATURES, st.booleans())
def test_a_row_is_written_as_the_reference_would(edit: Edit, temperature: float, strided: bool) -> None:
    row = np.random.default_rng(2).normal(size=SIZE).astype(np.float32)
    written = np.zeros((SIZE, 3), np.float32)[:, 1] if strided else np.zeros(SIZE, np.float32)
    written[:] = row
    seen = RowWriter(temperature).write(written, edit)
    if edit.forced is not None:
        assert int(written.argmax()) == edit.forced
        assert (np.delete(written, edit.forced) == np.delete(row, edit.forced)).all(), "the rest is left alone"
    else:
        np.testing.assert_allclose(written, edited(row.astype(float), edit, temperature), rtol=1e-5, atol=1e-5)
    reference = RowCopy(row.astype(float), edit, temperature)
    if edit.redirect or edit.redraw:
        assert seen is not None
        for token in edit.moved_onto:
            np.testing.assert_allclose(seen.sources(token), reference.sources(token), rtol=1e-5, atol=1e-5)
    if edit.redraw and edit.forced is None:
        assert seen is not None
        share, logits = seen.refused()
        assert share == pytest.approx(redraw_probability(row.astype(float), edit, temperature), abs=1e-5)
        np.testing.assert_allclose(logits, reference.refused()[1], rtol=1e-5, atol=1e-5)


def test_a_certain_token_is_one_number() -> None:
    row = np.arange(SIZE, dtype=np.float32)
    RowWriter(1.0).write(row, force(3))
    assert row.tolist() == [0, 1, 2, FORCED_LOGIT, 4, 5]


def test_sources_that_are_all_barred_stay_barred() -> None:
    row = np.array([-np.inf, -np.inf, 0, 0, 0, 0], np.float32)
    RowWriter(1.0).write(row, redirect([0], 1))
    assert np.isneginf(row[[0, 1]]).all()


@given(edits(), st.sampled_from([0.7, 1.0, 1.3]))
def test_looking_at_a_token_gives_the_distribution_of_writing_the_edit(edit: Edit, temperature: float) -> None:
    """Exactly: every way in which draws can fall is walked, with its probability."""
    row = np.random.default_rng(3).normal(size=SIZE).astype(np.float32)
    came, drew = np.zeros(SIZE), np.zeros(SIZE)
    for falls in itertools.product(range(SIZE), repeat=2):
        chance, used = 1.0, 0

        def draw(shown: np.ndarray, falls: tuple[int, ...] = falls) -> int:
            nonlocal chance, used
            token = falls[used]
            chance *= probabilities(shown.astype(float), temperature)[token]
            used += 1
            return token

        drawn, token = draw_then_edit(row.copy(), edit, draw)
        if used == 1:
            chance /= SIZE  # the second fall was not needed, and is walked as often
        came[token] += chance
        drew[drawn] += chance
    np.testing.assert_allclose(
        came, probabilities(edited(row.astype(float), edit, temperature), temperature), atol=1e-6
    )
    share = redraw_probability(row.astype(float), edit, temperature) if edit.redraw else 0.0
    assert drew[sorted(edit.redraw)].sum() == pytest.approx(share, abs=1e-6)
