"""The batched writer on the device against the reference on one row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import SIZE, edits
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from thinkpace import NoLegalToken
from thinkpace.adapters.logits import torch_writer
from thinkpace.adapters.logits.attribution import RowCopy, redraw_probability
from thinkpace.adapters.logits.reference import edited
from thinkpace.adapters.logits.statistics import row_statistic
from thinkpace.adapters.logits.torch_statistics import batch_statistic
from thinkpace.adapters.logits.torch_writer import ScoreWriter, TorchSnapshot
from thinkpace.processors import KEEP, Edit, force, redirect

HEATS = st.sampled_from([0.0, 0.6, 1.0, 1.3])
BATCHES = st.lists(edits(), min_size=1, max_size=4)


@pytest.mark.parametrize("many", [0, 1, torch_writer.MANY])  # with and without working on whole rows
@given(batch=BATCHES, temperatures=st.lists(HEATS, min_size=4, max_size=4) | HEATS, padding=st.integers(0, 2))
def test_a_batch_is_written_as_its_rows_would_be(
    many: int, batch: list[Edit], temperatures: list[float] | float, padding: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_writer, "MANY", many)
        _a_batch_is_written_as_its_rows_would_be(batch, temperatures, padding)


def _a_batch_is_written_as_its_rows_would_be(
    batch: list[Edit], temperatures: list[float] | float, padding: int
) -> None:
    rows = np.random.default_rng(1).normal(size=(len(batch), SIZE + padding))
    scores = torch.from_numpy(rows.copy())
    writer = ScoreWriter(SIZE, temperatures if isinstance(temperatures, float) else 1.0)
    pairs = [(row, edit) for row, edit in enumerate(batch) if edit is not KEEP]
    of = [temperatures] * len(batch) if isinstance(temperatures, float) else temperatures
    if isinstance(temperatures, float):
        writer.clear(scores)
        gathered = writer.write(scores, pairs)
    else:
        writer.clear(scores, torch.arange(len(batch)))
        gathered = writer.write(scores, pairs, [of[row] for row, _ in pairs])
    for row, edit in enumerate(batch):
        temperature = of[row]
        expected = edited(rows[row, :SIZE], edit, temperature)
        np.testing.assert_allclose(scores[row, :SIZE].numpy(), expected, atol=1e-9)
        assert torch.isneginf(scores[row, SIZE:]).all()
        if edit.redraw:
            assert gathered is not None
            share = redraw_probability(rows[row, :SIZE], edit, temperature)
            assert float(gathered.shares[row]) == pytest.approx(share)
    for place, (row, edit) in enumerate(pairs):
        assert gathered is not None
        seen, reference = TorchSnapshot(gathered, place, row), RowCopy(rows[row], edit, of[row])
        for token in edit.moved_onto:
            np.testing.assert_allclose(seen.sources(token), reference.sources(token), atol=1e-9)


def test_scores_stay_finite_where_a_token_is_forced() -> None:
    """No +1e9: a beam adds scores up, and would end at that number."""
    scores = torch.log_softmax(torch.randn(2, SIZE), 1)
    own = scores[1, 3].item()
    ScoreWriter(SIZE, 0.0).write(scores, [(1, force(3))])
    assert scores[1, 3].item() == own
    assert torch.isneginf(scores[1, [0, 1, 2, 4, 5]]).all()
    assert torch.isfinite(scores[0]).all()


def test_a_written_token_comes_even_if_another_processor_barred_it() -> None:
    scores = torch.randn(1, SIZE)
    scores[0, 3] = -torch.inf
    ScoreWriter(SIZE, 1.0).write(scores, [(0, force(3))])
    assert scores[0].argmax() == 3
    assert torch.isfinite(scores[0, 3])


def test_one_indexed_write_however_many_rows_and_edits(monkeypatch: pytest.MonkeyPatch) -> None:
    writes = 0
    original = torch.Tensor.index_put_

    def counted(self: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        nonlocal writes
        writes += 1
        return original(self, *args, **kwargs)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(torch.Tensor, "index_put_", counted)
    scores = torch.randn(64, SIZE)
    ScoreWriter(SIZE, 1.0).write(scores, [(row, redirect([row % 5], 5)) for row in range(64)])
    assert writes == 1


def test_a_set_that_is_barred_altogether_is_an_error_in_the_reference() -> None:
    row = np.full(SIZE, -np.inf)
    with pytest.raises(NoLegalToken, match="barred"):
        edited(row, Edit(only=frozenset({1, 2})), 1.0)


@given(st.lists(st.floats(-9, 9), min_size=SIZE, max_size=SIZE), st.lists(st.integers(0, SIZE - 1), max_size=2))
def test_numbers_about_rows_are_those_of_the_reference(row: list[float], closes: list[int]) -> None:
    reference = np.array([*row, -np.inf])
    scores = torch.from_numpy(np.stack((reference, reference)))
    for kind in ("entropy", "top_probability", "close_margin"):
        expected = row_statistic(reference, kind, closes)
        assert batch_statistic(scores, kind, [closes, closes]) == pytest.approx([expected, expected])


def test_a_certain_token_without_beams_is_one_cell() -> None:
    scores = torch.zeros(2, SIZE)
    ScoreWriter(SIZE, 1.0, beams=False).write(scores, [(1, force(3))])
    assert torch.softmax(scores[1], 0)[3] == 1
    assert (scores[1, [0, 1, 2, 4, 5]] == 0).all(), "the rest of the row is left alone"


class FromHost(TorchDispatchMode):
    """The operations that read a tensor of the host, each of which may wait for a GPU's stream."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped there
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [arg for arg in tree_flatten((args, kwargs or {}))[0] if isinstance(arg, torch.Tensor)]
        if any(tensor.device.type == "cpu" for tensor in tensors):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_step_like_the_one_before_copies_nothing_from_the_host(temperature: float) -> None:
    """Rows are cleared and edits written with tensors that are on the device already (here: without data)."""
    writer = ScoreWriter(SIZE, temperature, unused=[3], beams=False)
    changes = [(0, redirect({5, 6}, 7)), (1, force(4)), (2, Edit(ban=frozenset({1, 2}), bias={8: 2.0}))]
    rows = torch.tensor([0, 1, 2], device="meta")

    def step() -> None:
        scores = torch.empty(4, SIZE + 5, device="meta")
        writer.clear(scores, rows)
        writer.write(scores, changes)

    step()
    with FromHost() as ops:
        step()
    assert ops.found == []
    with FromHost() as ops:
        torch.empty(3, device="meta")[torch.tensor([1])] = 0.0
    assert ops.found  # the check sees what it looks for
