"""The fields of a request to the server, one by one: what they do, and what is refused by name."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import openai
import pytest
from support.openai_client import QUESTIONS, ask, content_of

from thinkpace import Request, StructuredAnswer
from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine


def test_choices_and_stops(client: Any) -> None:
    made = ask(client, n=3, temperature=1.0, seed=4)
    assert len(made.choices) == 3
    again = ask(client, n=3, temperature=1.0, seed=4)
    assert [c.message.content for c in again.choices] == [c.message.content for c in made.choices]
    stopped = ask(client, stop=["Answer", "never"])
    assert stopped.choices[0].message.content == "Final "
    assert stopped.choices[0].finish_reason == "stop"
    assert "Answer" not in stopped.choices[0].message.content
    text = "".join(c.choices[0].delta.content or "" for c in ask(client, stop="Answer", stream=True))
    assert text == "Final "


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"thinking_token_budget": -5}, "thinking_token_budget"),
        ({"thinking_token_budget": "many"}, "thinking_token_budget"),
        ({"thinking_token_budget": 3, "budget_tokens": 4}, "thinking_token_budget"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"controls": "Nope(3)"}, "controls"),
        ({"controls": "ThinkBudget(3) + BudgetForcing(4)"}, "controls"),
        ({"controls": [{"control": "ThinkBudget", "most": 3}]}, "controls"),
        ({"controls": "ThinkBudget(3, answer_reserve=500)"}, "max_tokens"),
        ({"controls": "During(" * 900}, "controls"),
        ({"controls": "StructuredAnswer(regex='[0-')"}, "controls"),
        ({"controls": "StructuredAnswer(regex='a{100000}')"}, "controls"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"schema": {"type": "string", "maxLength": 10**5}},
                }
            },
            "response_format",
        ),
        ({"chat_template_kwargs": {"messages": []}}, "chat_template_kwargs"),
        ({"temperature": 1e-40}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "objekt"}}}},
            "response_format",
        ),
        ({"max_tokens": 5000}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 5, "max_tokens": 5}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"n": 0}, "n"),
        ({"stop": ""}, "stop"),
        ({"logit_bias": {"99999": 3}}, "logit_bias"),
        ({"logit_bias": {"Wait": 3}}, "logit_bias"),
        ({"logit_bias": {"9" * 5000: 3}}, "logit_bias"),
        ({"thinking": {"type": "disabled", "budget_tokens": 1024}}, "thinking"),
        ({"reasoning": {"effort": "high", "enabled": False}}, "reasoning"),
        ({"reasoning": {"max_tokens": 10, "enabled": False}}, "reasoning"),
        ({"reasoning": {"effort": "none", "enabled": True}}, "reasoning"),
        ({"enable_thinking": True, "think": False}, "enable_thinking"),
        ({"chat_template_kwargs": {"enable_thinkin": False}}, "chat_template_kwargs"),
        ({"response_format": {"type": "json_object"}, "controls": "BudgetForcing(8)"}, "controls"),
        ({"controls": "after(300, LoopBreaker())"}, "max_tokens"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tools": [{"type": "function"}], "tool_choice": "required"}, "tools"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 99}, "top_logprobs"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
        ({"reasoning": {"effort": "low", "max_tokens": 9}}, "reasoning.max_tokens"),
        ({"thinking": {"type": "sometimes"}}, "thinking"),
        ({"think": "hard"}, "think"),
        ({"thinking": {"type": "enabled", "budget_tokens": -7}}, "thinking"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}]}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "a" * 9000}]}, "messages"),
        ({"messages": [{"role": "user", "content": "<think>" * 500_000}]}, "messages"),  # took minutes to tokenize
        ({"messages": [{"role": "user", "content": "hi", "foo": 1}]}, "messages.0.foo"),
        ({"messages": [{"role": "banana", "content": "hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "tool", "content": "hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content"),
        (
            {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]},
            "messages.0.tool_calls",
        ),
        ({"stop": [f"z{i}" for i in range(300)]}, "stop"),
        ({"stop": "z" * 2000}, "stop"),
        ({"controls": [{"control": "SuppressExpressions", "expressions": ["ab " * 8000]}]}, "controls"),
        ({"controls": [{"control": "LoopBreaker"}] * 65}, "controls"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}, "foo": 1}}},
            "response_format",
        ),
    ],
)
def test_bad_requests_are_told_which_field(client: Any, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(openai.BadRequestError) as found:
        ask(client, **fields) if "messages" in fields else ask(client, QUESTIONS[0], **fields)
    assert found.value.status_code == 400
    body: Any = found.value.body
    assert body["param"] == named, body
    assert body["message"]


def test_a_stop_that_begins_with_a_line_break(client: Any) -> None:
    """The line break after the close is no part of the answer, and no stop is found in it."""
    plain = content_of(client, thinking_token_budget=8)
    assert plain == plain.lstrip() != ""
    assert content_of(client, thinking_token_budget=8, stop="\n") == plain.partition("\n")[0]


def test_the_message_of_a_budget_is_seen(client: Any) -> None:
    """It is billed, so it is shown: in the reasoning, where the model reads it; whole and streamed."""
    fields = {"controls": [{"control": "ThinkBudget", "max_tokens": 8, "message": "b=3", "answer_reserve": 16}]}
    message = ask(client, **fields).choices[0].message
    assert message.reasoning_content.endswith("b=3")
    assert "b=3" not in message.content
    deltas = [chunk.choices[0].delta for chunk in ask(client, stream=True, **fields)]
    said = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert said == message.reasoning_content


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({"reasoning_effort": "minimal"}, 256),
        ({"reasoning_effort": "xhigh"}, 65536),
        ({"thinking_budget_tokens": 9}, 9),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, 9),
        ({"thinking": {"type": "disabled"}}, 0),
        ({"reasoning": {"effort": "low"}}, 1024),
        ({"reasoning": {"max_tokens": 9}}, 9),
        ({"reasoning": {"enabled": False}}, 0),
        ({"enable_thinking": False}, 0),
        ({"think": False}, 0),
        ({"think": "high"}, 16384),
        ({"enable_thinking": True}, 100),  # the server's own budget stays
        ({"think": True}, 100),
        ({"thinking": {"type": "enabled"}}, 100),
    ],
)
def test_what_other_apis_call_a_budget(client: Any, fields: dict[str, Any], most: int) -> None:
    receipt = ask(client, **fields).choices[0].receipt
    [budget] = [text for text in receipt["armed"] if text.startswith("ThinkBudget")]
    assert f"max_tokens={most}," in budget or f"max_tokens={most})" in budget, budget
    assert receipt["thinking_tokens"] <= most


@pytest.mark.parametrize(
    "fields",
    [
        {"logit_bias": {}},
        {"logprobs": False, "top_logprobs": 0},
        {"tool_choice": "auto"},
        {"tool_choice": "none"},
        {"tools": []},
        {"parallel_tool_calls": True},
        {"metadata": {"a": "b"}},
        {"service_tier": "auto"},
        {"store": False},
        {"prompt_cache_key": "a"},
        {"safety_identifier": "a"},
        {"user": "a"},
        {"modalities": ["text"]},
        {"verbosity": "medium"},
        {"presence_penalty": 0, "frequency_penalty": 0},
    ],
)
def test_what_stock_clients_send_and_that_changes_nothing(client: Any, fields: dict[str, Any]) -> None:
    assert content_of(client, **fields) == content_of(client)


def test_stream_options_of_stock_clients(client: Any) -> None:
    options = {"include_usage": True, "include_obfuscation": False}
    chunks = list(ask(client, stream=True, stream_options=options))
    assert chunks[-1].usage.completion_tokens > 0


def test_logprobs(client: Any, llama_engine: LlamaCppEngine) -> None:
    """Of the tokens of the answer, by the model: greedy tokens are the likeliest, and the best five add up to one."""
    made = ask(client, thinking_token_budget=12, logprobs=True, top_logprobs=5)
    [choice] = made.choices
    entries = choice.logprobs.content
    assert "".join(entry.token for entry in entries).strip() == choice.message.content.strip()
    for entry in entries:
        if entry.logprob is not None:
            assert entry.logprob <= 0
            assert [top.logprob for top in entry.top_logprobs] == sorted(
                (t.logprob for t in entry.top_logprobs), reverse=True
            )
            assert entry.token in [top.token for top in entry.top_logprobs]
    deltas = [c for chunk in ask(client, thinking_token_budget=12, logprobs=True, stream=True) for c in chunk.choices]
    streamed = [entry.token for choice in deltas if choice.logprobs for entry in choice.logprobs.content]
    assert streamed == [entry.token for entry in entries]
    text = "<|im_start|>user\na=3;b=a+4. b?<|im_end|>\n<|im_start|>assistant\n<think>\n"
    one = client.completions.create(model="embedded", prompt=text, max_tokens=20, temperature=0, logprobs=2)
    assert len(one.choices[0].logprobs.tokens) == len(one.choices[0].logprobs.token_logprobs)


def test_biases_and_penalties(client: Any, llama_engine: LlamaCppEngine) -> None:
    plain = ask(client, thinking_token_budget=40)
    [digit] = llama_engine.vocabulary.encode("=")
    biased = ask(client, thinking_token_budget=40, logit_bias={str(digit): -100})
    assert "=" in plain.choices[0].message.reasoning_content
    assert "=" not in biased.choices[0].message.reasoning_content
    punished = ask(client, thinking_token_budget=60, frequency_penalty=2, presence_penalty=2)
    counts = [
        made.choices[0].message.reasoning_content.count("=")
        for made in (ask(client, thinking_token_budget=60), punished)
    ]
    assert counts[1] < counts[0]


def test_a_switch_that_is_on_goes_with_a_budget(client: Any) -> None:
    """It was refused as the same thing."""
    for fields in ({"enable_thinking": True}, {"think": True}, {"reasoning": {"enabled": True}}):
        made = ask(client, thinking_token_budget=8, **fields)
        assert made.usage.completion_tokens_details.reasoning_tokens <= 8


def test_thinking_that_is_turned_off_is_held(client: Any) -> None:
    """It was "not held", since the budget of 0 had nothing to act on."""
    for fields in ({"enable_thinking": False}, {"thinking": {"type": "disabled"}}, {"reasoning": {"effort": "none"}}):
        made = ask(client, **fields)
        assert "ThinkBudget" not in str(made.choices[0].model_extra["receipt"]["notes"])
        assert made.usage.completion_tokens_details.reasoning_tokens == 0


def test_messages_with_half_a_character_name_their_field(served: str) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "x\ud800"}]}).encode()
    headers = {"Content-Type": "application/json"}
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(f"{served}/v1/chat/completions", body, headers))
    assert caught.value.code == 400
    assert json.load(caught.value)["error"]["param"] == "messages"


def test_json_answers(client: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"c": {"type": "integer", "minimum": 3, "maximum": 5}},
        "required": ["c"],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "c", "schema": schema}}
    made = json.loads(content_of(client, thinking_token_budget=8, response_format=wanted))
    assert 3 <= made["c"] <= 5
    text = content_of(client, thinking_token_budget=8, response_format={"type": "json_object"}, max_tokens=120)
    assert text.startswith("{")


CHOICES = "StructuredAnswer(choices=('yes', 'no'))"


def test_an_answer_that_was_cut_is_not_held(client: Any, llama_engine: LlamaCppEngine) -> None:
    """A structured answer that did not become complete came with "held"."""
    told = ask(client, QUESTIONS[0], controls="StructuredAnswer(regex='[0-9]{40}') + ThinkBudget(5)", max_tokens=40)
    [choice] = told.choices
    assert choice.model_extra["controls"] == "not held"
    assert "does not match" in choice.model_extra["receipt"]["notes"][0]
    [choice] = ask(client, QUESTIONS[0], controls=CHOICES + " + ThinkBudget(5)", max_tokens=40).choices
    assert choice.model_extra["controls"] == "held"
    prompt = llama_engine.chat(QUESTIONS[0])
    [inside] = llama_engine.generate([Request(prompt, (StructuredAnswer(choices=("yes", "no")),), 4)])
    assert inside.receipt.notes == (f"no answer came: {CHOICES} had nothing to act on",)


@pytest.mark.parametrize(("begun", "refused"), [("ye", True), ("<think>\nb", False)])
def test_an_answer_that_has_begun_is_not_asked_for_again(client: Any, begun: str, refused: bool) -> None:
    """It came a second time, behind its beginning."""
    messages = [*QUESTIONS[0], {"role": "assistant", "content": begun}]
    if refused:
        with pytest.raises(openai.BadRequestError, match="begins the answer"):
            ask(client, messages, controls=CHOICES)
    else:
        [choice] = ask(client, messages, controls=CHOICES + " + ThinkBudget(9)", max_tokens=60).choices
        assert choice.message.content in ("yes", "no")


def test_white_space_at_the_end_of_a_last_message_stays(client: Any, llama_engine: LlamaCppEngine) -> None:
    begun = [*QUESTIONS[0], {"role": "assistant", "content": "<think>\nb=7*3=1\n"}]
    assert llama_engine.vocabulary.decode(llama_engine.chat(begun, continues=True)).endswith("b=7*3=1\n")
    assert not (ask(client, begun).choices[0].message.model_extra or {})["reasoning_content"].startswith("\n")


def test_a_last_message_of_the_assistant_is_continued(client: Any, llama_engine: LlamaCppEngine) -> None:
    begun = [*QUESTIONS[0], {"role": "assistant", "content": "Final Answer:"}]
    made = ask(client, begun, max_tokens=24)
    rendered = llama_engine.vocabulary.decode(llama_engine.chat(begun, continues=True))
    assert rendered.endswith("Final Answer:")
    assert made.usage.prompt_tokens == len(llama_engine.chat(begun, continues=True))
