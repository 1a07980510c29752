"""Where a token came from, told on the device before it comes: as often from everywhere as the host tells it."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from thinkpace.adapters.device.machine import EditStep
from thinkpace.adapters.device.tables import Sets
from thinkpace.adapters.device.writer import uniform, write
from thinkpace.adapters.logits.attribution import RowCopy, attribute_draw
from thinkpace.adapters.logits.reference import edited
from thinkpace.processors import Edit
from thinkpace.processors.core.edit import bias, redirect, redraw
from thinkpace.testing import VOCABULARY

CPU = torch.device("cpu")
MANY = 4000
LOGITS = torch.linspace(-1, 1, VOCABULARY.size, dtype=torch.float64).flip(0)


def grid(purpose: int) -> torch.Tensor:
    """Numbers in [0, 1) for many rows, the same ones for every purpose but in another order."""
    generator = torch.Generator().manual_seed(purpose)
    return (torch.randperm(MANY, generator=generator) + 0.5) / MANY


def step(kind: str, tokens: list[int], value: float = 0.0) -> EditStep:
    sets = Sets(VOCABULARY.size, CPU)
    which = sets.added([tokens]).expand(MANY)
    number = torch.full((MANY,), value, dtype=torch.float64)
    return EditStep(kind, sets, which, number.long() if kind == "redirect" else number)  # type: ignore[arg-type]  # one of its kinds


CHAINS = {
    "moved": ([step("redirect", [1, 2, 3], 4)], redirect([1, 2, 3], 4)),
    "moved on": (
        [step("redirect", [1, 2], 4), step("bias", [4], 0.5), step("redirect", [4, 5], 6)],
        redirect([1, 2], 4).then(bias({4: 0.5})).then(redirect([4, 5], 6)),
    ),
    "moved twice onto the same": (
        [step("redirect", [1, 2], 4), step("redirect", [5], 4)],
        redirect([1, 2], 4).then(redirect([5], 4)),
    ),
    "refused": ([step("bias", [2], 1.0), step("redraw", [1, 2])], bias({2: 1.0}).then(redraw([1, 2]))),
}


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.5])
@pytest.mark.parametrize("name", CHAINS)
def test_origins_are_as_frequent_as_the_hosts(name: str, temperature: float) -> None:
    writes, edit = CHAINS[name]
    assert isinstance(edit, Edit)
    temperatures = torch.full((MANY,), temperature, dtype=torch.float64)
    logits = LOGITS.repeat(MANY, 1)
    drawn = write(logits, torch.arange(MANY), writes, temperatures, [grid(i) for i in range(len(writes) + 1)])
    row = LOGITS.numpy()
    assert torch.allclose(logits[0], torch.tensor(edited(row, edit, temperature)))
    for token in sorted({*edit.moved_onto, 7}):
        found, redrew = drawn.of(torch.full((MANY,), token))
        here = Counter(found.tolist())
        host = Counter(
            attribute_draw(RowCopy(row, edit, temperature), edit, token, temperature, (i + 0.5) / MANY)
            for i in range(MANY)
        )
        assert set(here) == set(host) or temperature > 0
        for source in {*here, *host}:
            assert here[source] == pytest.approx(host[source], abs=0.02 * MANY)
        assert redrew.tolist() == [source in edit.redraw for source in found.tolist()]


def test_random_numbers_depend_on_seed_position_and_purpose_alone_and_are_even() -> None:
    seeds, positions = torch.arange(200).repeat_interleave(50), torch.arange(50).repeat(200)
    numbers = uniform(seeds, positions, 1)
    assert torch.equal(numbers, uniform(seeds, positions, 1))
    assert len(set(numbers.tolist())) == len(numbers)
    assert len({*numbers.tolist(), *uniform(seeds, positions, 2).tolist()}) == 2 * len(numbers)
    assert 0 <= float(numbers.min()) < float(numbers.max()) < 1
    shares = torch.histc(numbers, 10, 0, 1) / len(numbers)
    assert torch.allclose(shares, torch.full_like(shares, 0.1), atol=0.012)
