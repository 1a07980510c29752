"""One pass of budget forcing has the same distribution over outputs as s1's loop of stopping and prompting again.

Exact: both are enumerated on a vocabulary of six ids, over all outputs, at several temperatures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from reference_s1 import S1, outcomes

from thinkpace import BudgetForcing, Markers
from thinkpace.adapters._hf_scores import ScoreWriter
from thinkpace.adapters._rows import edited, merged, probabilities, refused
from thinkpace.adapters.scripted import WordVocabulary
from thinkpace.processors import Edit, Program, State, compile_program

VOCABULARY = WordVocabulary(("<think>", "</think>", "Wait", "a", "so", "<eos>"))
OPEN, CLOSE, WAIT, A, SO, EOS = range(6)
MARKERS = Markers("<think>", "</think>")
Write = Callable[[np.ndarray, Edit, float], np.ndarray]


def logits(tokens: Sequence[int]) -> np.ndarray:
    """Made-up logits that depend on the last two tokens and the length; no token is far from the others."""
    rng = np.random.default_rng([len(tokens), *tokens[-2:]])
    row = rng.normal(scale=1.2, size=VOCABULARY.size)
    row[OPEN] = -np.inf  # keeps the tree small
    return row


def torch_write(row: np.ndarray, edit: Edit, temperature: float) -> np.ndarray:
    scores = torch.from_numpy(row[None].copy())
    ScoreWriter(VOCABULARY.size, temperature).write(scores, [(0, edit)])
    return scores[0].numpy()


@dataclass
class Walk:
    """All outputs of a program, by probability; a moved or redrawn token is followed for each of its origins."""

    program: Program
    temperature: float
    limit: int
    write: Write

    def outputs(self, prompt: Sequence[int]) -> dict[tuple[int, ...], float]:
        found: dict[tuple[int, ...], float] = defaultdict(float)
        pending: list[tuple[State, tuple[int, ...], float]] = [(self.program.start(prompt), (), 1.0)]
        while pending:
            state, tokens, probability = pending.pop()
            if state.track.ended or len(tokens) == self.limit:
                found[tokens] += probability
                continue
            row = logits([*prompt, *tokens])
            shares = probabilities(self.write(row, state.edit, self.temperature), self.temperature)
            for token in np.flatnonzero(shares):
                for drawn, share in self.origins(row, state.edit, int(token)).items():
                    if share:
                        after = self.program.step(state, int(token), drawn)
                        pending.append((after, (*tokens, int(token)), probability * shares[token] * share))
        return found

    def origins(self, row: np.ndarray, edit: Edit, token: int) -> dict[int, float]:
        if edit.redraw:
            share = refused(row, edit, self.temperature)
            return {min(edit.redraw): share, token: 1 - share}
        sources = edit.moved_onto.get(token)
        if sources is None:
            return {token: 1.0}
        weights = [merged(np.array([row[i] + b]), self.temperature) for i, b in sources]
        shares = probabilities(np.array(weights), self.temperature)
        return {source: float(share) for (source, _), share in zip(sources, shares, strict=True)}


CASES = [
    {"max_tokens": 3},
    {"waits": 1},
    {"waits": 2, "max_tokens": 4},
    {"waits": 1, "wait": "Waitso"},
    {"waits": 2, "wait": "Waitso", "max_tokens": 4},
    {"waits": 1, "wait": None},
    {"waits": 2, "wait": None, "max_tokens": 4},
    {"min_tokens": 2},
    {"min_tokens": 2, "max_tokens": 3, "wait": "Waitso"},
    {"min_tokens": 2, "wait": None},
    {"min_tokens": 3, "waits": 1, "wait": None},
    {"min_tokens": 2, "waits": 1, "final_always": False, "max_tokens": 4},
    {"max_tokens": 0},
]


@pytest.mark.parametrize("write", [edited, torch_write], ids=["numpy", "torch"])
@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.3])
@pytest.mark.parametrize("fields", CASES, ids=str)
def test_one_pass_equals_the_loop(fields: dict[str, object], temperature: float, write: Write) -> None:
    limit = 6
    control = BudgetForcing(final="so", answer_reserve=1, **fields)  # type: ignore[arg-type]  # cases are checked by running
    program = compile_program([control], VOCABULARY, MARKERS, max_new_tokens=limit)
    one_pass = Walk(program, temperature, limit, write).outputs([OPEN])
    s1 = S1(
        CLOSE,
        VOCABULARY.eos,
        control.max_tokens,
        control.waits,
        () if control.wait is None else VOCABULARY.encode(control.wait),
        (CLOSE, SO),
        control.min_tokens,
        limit,
        reserve=1,
    )
    loop: dict[tuple[int, ...], float] = defaultdict(float)
    for tokens, probability in outcomes(s1, [OPEN], lambda tokens: probabilities(logits(tokens), temperature)):
        loop[tokens] += probability
    assert sum(loop.values()) == pytest.approx(1)
    assert one_pass.keys() == loop.keys()
    assert max(abs(one_pass[tokens] - loop[tokens]) for tokens in loop) < 1e-9
