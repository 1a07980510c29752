"""Asked, but could it act? Every control on the real engine: the table of `test_asked.py`."""

from __future__ import annotations

import pytest
from support.asked import EXAMPLES, SITUATIONS, check
from support.conformance import CASES
from support.scripted_vllm import scripted_vllm
from vllm import LLM

from thinkpace import Request, Sampling


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_receipt_says_whether_it_could_act(name: str, situation: str, scripted_llm: LLM) -> None:
    control, (case, _) = EXAMPLES[name], SITUATIONS[situation]
    script = len(CASES) + [*SITUATIONS].index(situation)
    request = Request(case.prompt_ids, (control,), case.limit, Sampling(temperature=0), script)
    [done] = scripted_vllm(scripted_llm, case.markers).generate([request])
    check(control, situation, done.receipt)
