"""One pass of budget forcing has the same distribution over outputs as s1's loop of stopping and prompting again.

Exact: both are enumerated on a vocabulary of six ids, over all outputs, at several temperatures.
"""

from __future__ import annotations

from collections import defaultdict

import pytest
from support.enumeration import CLOSE, MARKERS, OPEN, SO, VOCABULARY, Walk, Write, logits, torch_write
from support.reference_s1 import S1, outcomes

from thinkpace import BudgetForcing
from thinkpace.adapters.logits.randomness import probabilities
from thinkpace.adapters.logits.reference import edited
from thinkpace.processors import compile_program

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
