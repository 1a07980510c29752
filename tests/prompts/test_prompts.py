"""Published prompts are the published text, whatever a question holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkpace import Markers
from thinkpace.adapters.scripted import ScriptedEngine, WordVocabulary, says
from thinkpace.eval.runs.unit import prompt_ids
from thinkpace.prompts import PROMPTS, Prompt, Shot, load_shots, named
from thinkpace.prompts.published import PROMPT_NAMES


def test_chain_of_draft_is_composed_as_its_repository_does() -> None:
    """System prompt, a line, the shots joined by lines, a line, the question: all in one message."""
    [message] = PROMPTS["cod-gsm8k"].render("2+2=?")
    text = message["content"]
    assert message["role"] == "user"
    assert text.startswith(
        "Think step by step, but only keep minimum draft for each thinking step, with 5 words at most.\n"
        "Return the answer at the end of the response after a separator ####.\n\nQ: There are 15 trees in the grove."
    )
    assert "A: 20 - x = 12; x = 20 - 12 = 8. #### 8\n\n\nQ: Shawn has five toys." in text
    assert text.endswith("A: 5 * 3 = 15; 23 - 15 = 8. #### 8\n\nQ: 2+2=?\nA: \n")
    assert len(PROMPTS["cod-gsm8k"].shots) == len(PROMPTS["cot-gsm8k"].shots) == 8


@pytest.mark.parametrize(
    ("name", "count", "second_line", "shot"),
    [
        (
            "cod-date",
            6,
            'Use "%m/%d/%Y" format with day and month zero-padded.',
            "06/02/1943; 06/02/1943 - 10 = 05/23/1943. \n#### 05/23/194\n",
        ),
        (
            "cod-sports",
            8,
            'Return the "Yes" or "No" at the end of the response after a separator ####.',
            "“Sam Darnold passed the puck.”\n\nA: Sam: American football; passing the puck: hockey. \n#### No\n\n",
        ),
        (
            "cod-coin",
            8,
            'Return the "Yes" or "No" at the end of the response after a separator ####.',
            "A: Total flip count: 0; Still heads up. \n#### Yes\n\n",
        ),
    ],
)
def test_chain_of_draft_has_examples_of_every_task(name: str, count: int, second_line: str, shot: str) -> None:
    """As published, with their errors; the note names them."""
    prompt = PROMPTS[name]
    text = prompt.text("2+2=?")
    assert len(prompt.shots) == count
    assert text.split("\n")[1] == second_line
    assert shot in text
    assert text.endswith("Q: 2+2=?\nA: \n")
    assert ("194 " in prompt.note) == (name == "cod-date")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s1-tokens:2048", "Q?\n\nThink for up to 2048 tokens."),
        ("s1-steps:16", "Q?\n\nThink for up to 16 steps."),
        ("tale:50", "Q? Let's think step by step and use less than 50 tokens:\n"),
        ("qwen3-no-think", "Q? /no_think"),
        ("lets-think", "Q: Q?\nA: Let's think step by step."),
        ("none", "Q?"),
        (
            "direct-0shot",
            (
                "Answer the question directly with a number without unit.\n"
                "Do not return any preamble, explanation, or reasoning.\n\nQ: Q?\nA: \n"
            ),
        ),
    ],
)
def test_texts(name: str, text: str) -> None:
    assert named(name).text("Q?") == text


def test_each_has_a_source_and_a_name_of_its_own() -> None:
    assert all(prompt.source for prompt in PROMPTS.values())
    assert len({prompt.digest for prompt in PROMPTS.values()}) == len(PROMPTS)
    assert "collapses" in PROMPTS["cod-0shot"].note


@given(st.text())
def test_a_question_is_text_whatever_it_holds(question: str) -> None:
    for name in ("none", "cod-gsm8k", "tale:7"):
        assert named(name).text(question).count(question) >= 1
    assert named("none").text(question) == question


def test_braces_in_a_question_are_no_places() -> None:
    prompt = Prompt(
        "p", "{shots}|{question}", "s", shots=(Shot("{answer}", "{question}"),), shot_template="{question}:{answer}"
    )
    assert prompt.text("{shots} {question}") == "{answer}:{question}|{shots} {question}"


@pytest.mark.parametrize("name", ["shout", "tale", "tale:", "tale:0", "tale:-1", "tale:x", "none:5", ""])
def test_no_such_prompt(name: str) -> None:
    with pytest.raises(ValueError, match=r"there is no prompt|takes a whole number"):
        named(name)
    assert name not in PROMPT_NAMES


def test_bad_prompts() -> None:
    with pytest.raises(ValueError, match=r"has no \{question\}"):
        Prompt("p", "no place", "s")
    with pytest.raises(ValueError, match="both shots and"):
        Prompt("p", "{shots}{question}", "s")


def test_bad_shots(tmp_path: Path) -> None:
    path = tmp_path / "shots.jsonl"
    with pytest.raises(FileNotFoundError, match="there is no file of worked examples"):
        load_shots(path)
    path.write_text('{"question": "q"}\n')
    with pytest.raises(ValueError, match="line 1: expected an object with question and answer"):
        load_shots(path)


WORDS = WordVocabulary(
    ("<eos>", "<t>", "</t>", "\n", "Okay, I think I have finished thinking.", "Q?", "<think>", "</think>")
)


@pytest.mark.parametrize("template_opens", [False, True])
def test_nothinking_speaks_with_the_models_own_markers(template_opens: bool) -> None:
    """The published prefill; where the chat template has opened thinking already it is not opened twice."""

    class Chatty(ScriptedEngine):
        def chat(self, messages, template_arguments=None):  # type: ignore[no-untyped-def]  # as above it
            asked = super().chat(messages, template_arguments)
            return (*asked, *WORDS.encode("<t>\n")) if template_opens else asked

    engine = Chatty(says((), WORDS.size, 0), WORDS, Markers("<t>", "</t>"))
    text = WORDS.decode(prompt_ids(engine, PROMPTS["nothinking"], "Q?"))
    assert text == "Q?<t>\nOkay, I think I have finished thinking.\n</t>\n\n"
