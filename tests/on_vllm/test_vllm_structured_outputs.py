"""D39: vLLM's own structured outputs constrain the answer, and a budget the thinking before it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openai import BadRequestError, OpenAI
from support.vllm_process import serving
from vllm import SamplingParams
from vllm.exceptions import VLLMValidationError
from vllm.sampling_params import StructuredOutputsParams

from thinkpace import ThinkBudget
from thinkpace.adapters.vllm import VLLMEngine, extra_args
from thinkpace.eval.embedded import problems
from thinkpace.prompts import PROMPTS

ASKED = [PROMPTS["step-by-step"].render(one.question) for one in problems.examples("chain", 12, seed=3)]
SCHEMA = {
    "type": "object",
    "properties": {"n": {"enum": [0, 1, 2, 3]}},
    "required": ["n"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    ours = {"thinkpace": {"open": "<think>", "close": "</think>"}}
    compact = {"backend": "xgrammar", "disable_any_whitespace": True}  # this model would write spaces without an end
    options = ["--reasoning-parser", "deepseek_r1", "--structured-outputs-config", json.dumps(compact)]
    options += ["--additional-config", json.dumps(ours)]
    with (
        serving(tmp_path_factory.mktemp("server"), *options) as address,
        OpenAI(base_url=address, api_key="none", max_retries=0) as made,
    ):
        yield made


def ask(client: OpenAI, controls: str, messages: Any = ASKED[0], **fields: Any) -> Any:
    extra = {"vllm_xargs": {"thinkpace": controls}, "skip_special_tokens": False, **fields.pop("extra", {})}
    return client.chat.completions.create(
        model="embedded", messages=messages, max_tokens=160, temperature=0, extra_body=extra, **fields
    )


@pytest.mark.parametrize(
    ("control", "most"),
    [
        ("ThinkBudget(9, answer_reserve=60)", 9),
        ("ThinkBudget(0, answer_reserve=60)", 0),
        ("ThinkBudget(9, answer_reserve=60) + LoopBreaker() + during('thinking', SuppressExpressions(('Wait',)))", 9),
        ("BudgetForcing(70, waits=1, final=None, answer_reserve=60)", 70),
    ],
)
@pytest.mark.parametrize("field", ["structured_outputs", "response_format"])
def test_the_budget_holds_and_so_does_the_grammar(client: OpenAI, control: str, most: int, field: str) -> None:
    grammar: dict[str, Any] = (
        {"extra": {"structured_outputs": {"regex": "[0-4]{3}"}}}
        if field == "structured_outputs"
        else {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}}
    )
    reached = 0
    for messages in ASKED:
        [choice] = ask(client, control, messages, **grammar).choices
        told = choice.model_extra
        content = re.sub(r"<\|?\w+\|?>$", "", choice.message.content)  # skip_special_tokens shows the end of the turn
        if field == "structured_outputs":
            assert re.fullmatch("[0-4]{3}", content)
        else:
            assert json.loads(content)["n"] in SCHEMA["properties"]["n"]["enum"]  # type: ignore[index]
        assert told["controls"] == "held"
        assert told["receipt"]["thinking_tokens"] <= most
        reached += told["receipt"]["end"] == "forced"
    assert reached


@pytest.mark.parametrize(
    ("controls", "says"),
    [
        ("BudgetForcing(9, answer_reserve=60)", "final text"),
        ("ThinkBudget(9, guard=5, answer_reserve=60)", "guard"),
        ("SuppressExpressions(('a',))", "during('thinking'"),
        ("StructuredAnswer(regex='5') + ThinkBudget(9, answer_reserve=60)", "both constrain the answer"),
    ],
)
def test_what_cannot_go_together_is_a_400_with_the_reason(client: OpenAI, controls: str, says: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        ask(client, controls, extra={"structured_outputs": {"regex": "[0-4]"}})
    assert says in caught.value.message
    assert caught.value.param == "structured_outputs"


def test_offline_without_a_reasoning_parser_the_request_ends(vllm_engine: VLLMEngine) -> None:
    """The grammar would rule the thinking: the worker ends the request, and goes on with others."""
    llm = vllm_engine._backend._llm  # type: ignore[attr-defined]
    prompt = {"prompt_token_ids": list(vllm_engine.chat(ASKED[0]))}
    grammar = StructuredOutputsParams(regex="[0-4]{3}")

    def params(**given: Any) -> SamplingParams:
        return SamplingParams(temperature=0, max_tokens=60, structured_outputs=grammar, **given)

    budget = ThinkBudget(9, answer_reserve=9)
    with pytest.raises(VLLMValidationError, match="reasoning parser"):
        llm.generate([prompt], params(extra_args=extra_args(budget)), use_tqdm=False)
    [ended] = llm.generate([prompt], params(extra_args=extra_args(budget, structured_outputs=True)), use_tqdm=False)
    assert len(ended.outputs[0].token_ids) <= 1
    [plain] = llm.generate([prompt], params(), use_tqdm=False)
    assert re.fullmatch("[0-4]{3}", plain.outputs[0].text)
