"""Markers of real chat templates, by rendering, against a table that was made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from support.places import SHARED
from support.real_vocabularies import needs_shared, vocabulary

from thinkpace import Markers, ThinkBudget, UnsupportedControl
from thinkpace.processors import compile_program, replay
from thinkpace.processors.text.chat_template import switches

TOKENS = {"bos_token": "<BOS>", "eos_token": "<EOS>"}
#: rows whose table says something that no single pair of markers is
UNKNOWN = {"LFM2.5-Instruct", "unsloth-Apriel-1.5", "(templates without reasoning handling)"}


def table() -> list[dict[str, Any]]:
    if not SHARED.is_dir():
        return []
    rows: list[dict[str, Any]] = json.loads((SHARED / "chat_templates" / "reasoning_templates.json").read_text())
    return rows


def source(file: str) -> str:
    return (SHARED / "chat_templates" / "templates" / file).read_text()


KNOWN = [(row, file) for row in table() if row["template"] not in UNKNOWN for file in row["files"]]
REFUSED = [file for row in table() if row["template"] in UNKNOWN for file in row["files"]]


@needs_shared
@pytest.mark.parametrize(("row", "file"), KNOWN, ids=lambda value: value if isinstance(value, str) else "")
def test_markers_and_whether_the_prompt_opens(row: dict[str, Any], file: str) -> None:
    markers = Markers.from_chat_template(source(file), **TOKENS)
    assert markers.open == row["start"].replace("\\n", "\n").strip()
    assert markers.close == row["end"].replace("\\n", "\n").strip().removesuffix(" then <response>..</response>")
    opens = row["generation prompt (default kwargs)"].startswith("PRE-OPENED")
    assert markers.opened_by_prompt is opens


@needs_shared
@pytest.mark.parametrize("file", REFUSED)
def test_what_cannot_be_known_is_refused_with_what_to_pass(file: str) -> None:
    with pytest.raises(UnsupportedControl, match=r"pass markers=Markers\("):
        Markers.from_chat_template(source(file), **TOKENS)


def test_the_table_is_all_there() -> None:
    if SHARED.is_dir():
        assert len(table()) == 31
        assert len({file for _, file in KNOWN} | set(REFUSED)) == 46


@needs_shared
@pytest.mark.parametrize(
    ("file", "arguments", "opens"),
    [
        ("Qwen-QwQ-32B.jinja", {"enable_thinking": True}, True),
        ("Qwen3.5-4B.jinja", {"enable_thinking": False}, False),
        ("deepseek-ai-DeepSeek-V3.1.jinja", {"thinking": True}, True),
        ("deepseek-ai-DeepSeek-V4.jinja", {"enable_thinking": True}, True),
        ("Cohere2MoE.jinja", {"reasoning_effort": "none"}, False),
        ("llama-cpp-rwkv-world.jinja", {"enable_thinking": True}, True),
        ("ByteDance-Seed-OSS.jinja", {"thinking_budget": 0}, False),
        ("Reka-Edge.jinja", {"enable_thinking": True}, True),
    ],
)
def test_switches_of_the_template(file: str, arguments: dict[str, Any], opens: bool) -> None:
    assert Markers.from_chat_template(source(file), **TOKENS, **arguments).opened_by_prompt is opens


@needs_shared
def test_how_thinking_is_switched() -> None:
    known = {
        "Qwen-Qwen3-0.6B.jinja": {"enable_thinking=False": "closes"},
        "Qwen-QwQ-32B.jinja": {"enable_thinking=True": "opens"},
        "google-gemma-4-31B-it.jinja": {"enable_thinking=True": "leaves it to the model"},
        "deepseek-ai-DeepSeek-V3.1.jinja": {"enable_thinking=True": "opens", "thinking=True": "opens"},
        "ByteDance-Seed-OSS.jinja": {"thinking_budget=0": "closes", "thinking_budget=512": "says so in the prompt"},
        "ibm-granite-granite-3.3-2B-Instruct.jinja": {"thinking=True": "says so in the prompt"},
        "Kimi-K2-Thinking.jinja": {},
    }
    assert {file: switches(source(file), **TOKENS) for file in known} == known


SAYS = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
THINKS = (
    "{% for m in messages %}<|{{ m.role }}|>{% if m.thinking is defined %}OPEN{{ m.thinking }}CLOSE{% endif %}"
    "{{ m.content }}<|end|>{% endfor %}"
)


@pytest.mark.parametrize(
    ("body", "prompt", "expected"),
    [
        (THINKS.replace("OPEN", "<|muse|>").replace("CLOSE", "<|/muse|>"), "", ("<|muse|>", "<|/muse|>", False)),
        (THINKS.replace("OPEN", "<m>\n").replace("CLOSE", "\n</m>\n\n"), "<m>\n", ("<m>", "</m>", True)),
        (SAYS + "{# </think> #}", "<think>\n", ("<think>", "</think>", True)),
        (
            SAYS + "{# <|end_of_thought|> #}",
            "<|begin_of_thought|>",
            ("<|begin_of_thought|>", "<|end_of_thought|>", True),
        ),
        (SAYS, "◁think▷◁/think▷", ("◁think▷", "◁/think▷", False)),
    ],
)
def test_templates_never_seen(body: str, prompt: str, expected: tuple[str, str, bool]) -> None:
    """What renders is what counts, whatever the tags are called."""
    template = body + "{% if add_generation_prompt %}<|assistant|>" + prompt + "{% endif %}"
    markers = Markers.from_chat_template(template)
    assert (markers.open, markers.close, markers.opened_by_prompt) == expected


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("", "no chat template"),
        ("{{ messages }}", "names no thinking tags"),
        ("<think></think><thought></thought>", r"\(2\)"),
        ("{% if %}", "no chat template that can be read"),
    ],
)
def test_no_markers(template: str, reason: str) -> None:
    with pytest.raises(UnsupportedControl, match=reason):
        Markers.from_chat_template(template)


ONE_OF_EACH = {(row["start"].strip("\\n"), row["end"].strip("\\n")): file for row, file in KNOWN}


@needs_shared
@pytest.mark.parametrize("file", ONE_OF_EACH.values())
def test_rendered_thinking_is_tracked_on_a_real_vocabulary(file: str) -> None:
    """Whatever the markers are, one token or many: what stands between them is thinking, and a budget closes it."""
    words, markers = (
        vocabulary("deepseek-v3-r1"),
        replace(Markers.from_chat_template(source(file)), opened_by_prompt=None),
    )
    program = compile_program([ThinkBudget(6, answer_reserve=0)], words, markers)
    prompt = words.encode("Q\n" + markers.open + "\n")
    natural = replay(program, prompt, words.encode("so it is" + markers.forced_close + "four"))
    assert program.receipt(natural, 1).end == "natural"
    forced = replay(program, prompt, words.encode("one two three four five six"))
    assert words.decode(forced.pending).startswith(markers.forced_close[: len(markers.close)])


@needs_shared
@pytest.mark.parametrize("file", [file for _, file in KNOWN])
def test_the_markers_do_not_depend_on_the_switches(file: str) -> None:
    usual = Markers.from_chat_template(source(file), **TOKENS)
    for arguments in (
        {"enable_thinking": True},
        {"enable_thinking": False, "thinking": False},
        {"reasoning_effort": "low"},
    ):
        switched = Markers.from_chat_template(source(file), **TOKENS, **arguments)
        assert (switched.open, switched.close) == (usual.open, usual.close)


@needs_shared
@pytest.mark.parametrize("before", ["", '"', "()", "}}", "/>", "so."])
@pytest.mark.parametrize("after", ["", "\n\n\n\n", "\r\n", ".\n\n", ",\n", "();", "Yes"])
def test_a_close_of_ordinary_tokens_is_seen_whatever_merges_with_one_end(before: str, after: str) -> None:
    words = vocabulary("qwen2.5")
    program = compile_program([], words, Markers("<think>", "</think>"))
    if before and after not in ("", "Yes"):
        return  # merged on both ends: the usual neighbours are covered, not every pair
    state = replay(program, words.encode("Q\n<think>\n"), words.encode(f"So{before}</think>{after}"))
    assert program.receipt(state, 1).end == "natural"


@needs_shared
@pytest.mark.parametrize(
    "file",
    [
        "Qwen-Qwen3-0.6B.jinja",
        "deepseek-ai-DeepSeek-V3.1.jinja",
        "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja",
        "ByteDance-Seed-OSS.jinja",
        "unsloth-mistral-Devstral-Small-2507.jinja",
    ],
)
def test_a_marker_in_the_question_opens_nothing(file: str) -> None:
    """The user's turn ends without an end-of-sequence id in some of these templates."""
    from thinkpace.processors.text.chat_template import ChatTemplate

    known, template = vocabulary("deepseek-v3-r1"), ChatTemplate(source(file), TOKENS)
    try:
        markers = Markers.from_chat_template(source(file), **TOKENS)
    except UnsupportedControl:
        markers = Markers("<think>", "</think>", opened_by_prompt=False).of_template(source(file), **TOKENS)
    program = compile_program([], known, replace(markers, opened_by_prompt=None))
    for question in (f"What is {markers.open}?", f"{markers.open} or {markers.close}", "What?"):
        text = template.render([{"role": "user", "content": question}], add_generation_prompt=True)
        assert text is not None
        opened = program.start(known.encode(text)).track.opened
        assert opened == (markers.opened_by_prompt is True), question


PROMPTS = "{% if add_generation_prompt %}PROMPT{% endif %}"
USER = "{% if m.role == 'user' %}<|user|>{{ m.content }}<|end|>"
LOOP = "{% for m in messages %}" + USER + "{% else %}ANSWER{% endif %}{% endfor %}"


def made(answer: str, prompt: str) -> str:
    """A template with this answer of the assistant and this generation prompt."""
    return LOOP.replace("ANSWER", answer) + PROMPTS.replace("PROMPT", prompt)


KINDS = {
    "an alias that is only parsed": (
        made(
            "<|assistant|>{% set said = m.content.split('</thinking>')[-1].split('</think>')[-1] %}"
            "{% if '<thinking>' in m.content %}{% endif %}{{ said }}"
            "{% if false %}{{ '<think>' + said + '</think>' }}{% endif %}",
            "<|assistant|>",
        ),
        ("<think>", "</think>", "</think>", False),
    ),
    "a block inside structured content": (
        made(
            "<|assistant_start|>{% if m.content is mapping %}{% for block in m.content.blocks %}"
            "{% if block.type == 'thoughts' %}<|inner_prefix|>{{ block.text }}<|inner_suffix|>"
            "{% else %}{{ block.text }}{% endif %}{% endfor %}{% else %}{{ m.content }}{% endif %}<|assistant_end|>",
            "<|assistant_start|>",
        ),
        ("<|inner_prefix|>", "<|inner_suffix|>", "<|inner_suffix|>", False),
    ),
    "a line that opens, and a phrase that closes": (
        made(
            "<|assistant|>\\nHere are my reasoning steps:\\n{{ m.reasoning_content }}\\n[BEGIN FINAL RESPONSE]\\n"
            "{{ m.content }}",
            "<|assistant|>\\nHere are my reasoning steps:\\n",
        ).replace("\\n", "\n"),
        ("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]", "[BEGIN FINAL RESPONSE]\n", True),
    ),
    "a close before the opening of the answer's channel": (
        made(
            "{% if m.reasoning_content %}<|open|>think<|sep|>{{ m.reasoning_content }}<|close|>think<|sep|>{% endif %}"
            "<|open|>response<|sep|>{{ m.content }}<|close|>response<|sep|>",
            "<|open|>think<|sep|>",
        ).replace("<|end|>", "<|close|>user<|sep|>"),
        (
            "<|open|>think<|sep|>",
            "<|close|>think<|sep|>",
            "<|close|>think<|sep|><|open|>response<|sep|>",
            True,
        ),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_templates(kind: str) -> None:
    template, expected = KINDS[kind]
    markers = Markers.from_chat_template(template)
    assert (markers.open, markers.close, markers.forced_close, markers.opened_by_prompt) == expected
