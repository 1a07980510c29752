"""Controls on recorded traces of R1 (MATH-500), with the tokens that the recording counted."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any

import pytest
from support.places import SHARED
from support.real_vocabularies import needs_shared, vocabulary

from thinkpace import (
    THOUGHT_SWITCHES,
    Control,
    DraftLimit,
    LoopBreaker,
    Markers,
    StepBudget,
    ThinkBudget,
    ThoughtSwitchPenalty,
)
from thinkpace.processors import Program, State, compile_program, replay, token_kinds
from thinkpace.processors.controls.loop_breaker import period
from thinkpace.processors.text.phrases import BEGIN, phrases
from thinkpace.processors.text.words import WordState, words

pytestmark = needs_shared
NAME = "deepseek-v3-r1"
MARKERS = Markers("<think>", "</think>", "</think>\n\n")


@dataclass(frozen=True)
class Recorded:
    """A trace as ids: the thinking and the answer."""

    row: dict[str, Any]
    thinking: tuple[int, ...]
    answer: tuple[int, ...]

    @property
    def prompt(self) -> tuple[int, ...]:
        return vocabulary(NAME).encode(self.row["prompt"] + "<think>\n")

    @property
    def tokens(self) -> tuple[int, ...]:
        close = vocabulary(NAME).encode("</think>")
        return (*self.thinking, *close, *self.answer, *vocabulary(NAME).eos)


@functools.cache
def recorded() -> tuple[Recorded, ...]:
    lines = (SHARED / "r1_traces_math500" / "math500_deepseek_r1.jsonl").read_text().splitlines()
    encode = vocabulary(NAME).encode
    rows = [json.loads(line) for line in lines]
    return tuple(Recorded(row, encode(row["reasoning_trace"]), encode(row["answer_text"])) for row in rows)


def program(*controls: Control) -> Program:
    return compile_program(controls, vocabulary(NAME), MARKERS)


def cut(trace: Recorded, *controls: Control) -> tuple[list[int], State]:
    """An engine that would say the trace, kept to the controls, until thinking is over."""
    made = program(*controls)
    state, tokens = made.start(trace.prompt), list[int]()
    wishes = iter(trace.thinking)
    while state.edit.forced is not None or state.track.phase.name == "THINKING":
        token = state.edit.forced if state.edit.forced is not None else next(wishes)
        assert token not in state.edit.ban
        token = state.edit.redirect.get(token, token)
        tokens.append(token)
        state = made.step(state, token)
    return tokens, state


def test_tokens_by_phase_are_the_recorded_ones() -> None:
    for trace in recorded():
        state = replay(program(), trace.prompt, trace.tokens)
        usage = program().receipt(state, len(trace.prompt)).usage
        assert usage.thinking == trace.row["reasoning_tokens"]
        assert usage.completion == trace.row["total_generated_tokens"] + usage.marker, "the recording leaves it out"
        assert token_kinds(program(), trace.prompt, trace.tokens).count("thinking") == usage.thinking


@pytest.mark.parametrize("budget", [0, 1, 100, 366])
def test_a_budget_cuts_exactly_where_it_must(budget: int) -> None:
    for trace in recorded():
        if budget > len(trace.thinking):
            continue
        tokens, state = cut(trace, ThinkBudget(budget, answer_reserve=0))
        assert tuple(tokens[:budget]) == trace.thinking[:budget]
        assert vocabulary(NAME).decode(tokens[budget:]) == "</think>\n\n"
        assert state.track.thinking_spent == budget


def test_a_landing_cuts_at_the_end_of_a_sentence() -> None:
    for trace in recorded():
        tokens, state = cut(trace, ThinkBudget(220, landing=60, landing_boost=0, answer_reserve=0))
        text = vocabulary(NAME).decode(tokens).removesuffix("</think>\n\n")
        assert 160 <= state.track.thinking_spent <= 220
        assert text.rstrip(" \"')]}*`")[-1] in ".!?\n:" or state.track.thinking_spent == 220
        if state.track.thinking_spent < 220:
            assert text.rstrip(" \"')]}*`")[-1] in ".!?\n"


def test_steps_end_at_blank_lines() -> None:
    trace = recorded()[0]
    tokens, _ = cut(trace, StepBudget(2))
    text = vocabulary(NAME).decode(tokens)
    assert text.count("\n\n") == 2 + 1, "two steps, and the blank line of the close"
    assert text.startswith("We are to convert the point (0,3)")


def test_where_thoughts_change_in_the_first_trace() -> None:
    """Hand-checked: the recording says "Alternatively" once, and its only other candidates are parts of words."""
    trace, table, cursor = recorded()[0], phrases(vocabulary(NAME), THOUGHT_SWITCHES), BEGIN
    switches = []
    for at, token in enumerate(trace.thinking):
        cursor, found = table.step(cursor, token)
        switches += [at] if found is not None else []
    assert switches == [333]
    assert "lternatively" in vocabulary(NAME).decode(trace.thinking[332:335])
    assert trace.row["reasoning_trace"].lower().count("alternatively") == 1


def test_the_window_of_tip_runs_over_a_trace() -> None:
    trace, made = recorded()[0], program(ThoughtSwitchPenalty(alpha=3, beta=50))
    active, state = list[int](), made.start(trace.prompt)
    for at, token in enumerate(trace.thinking):
        active += [at] if state.edit.bias else []
        state = made.step(state, token)
    assert active == [*range(50), *range(334, 366)], "50 tokens from the start, and from the token after the switch"


def test_words_are_counted_as_people_count_them() -> None:
    """Hand-checked on the first sentence of the first trace."""
    sentence = "We are to convert the point (0,3) from rectangular coordinates to polar coordinates."
    trace, table = recorded()[0], words(vocabulary(NAME), ("\n",))
    assert vocabulary(NAME).decode(trace.thinking).startswith(sentence)
    state = WordState()
    for token in vocabulary(NAME).encode(sentence):
        state = table.after(state, token)
    assert state.words == 13, "0,3 reads as one number, as 1,000 does"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("20 - x = 12", 3),
        ("unbelievably antidisestablishmentarianism", 2),
        ("don't 3.14 1,000", 3),
        ("a-b", 2),
        ("漢字 text", 3),
        ("Größe übermäßig", 2),
        ("x_1 = 5.", 2),
        ("", 0),
    ],
)
def test_words(text: str, count: int) -> None:
    for name in ("qwen3", NAME):
        state, table = WordState(), words(vocabulary(name), ("\n",))
        for token in vocabulary(name).encode(text):
            state = table.after(state, token)
        assert state.words == count, name


def test_a_draft_limit_on_a_trace_never_lets_a_step_grow() -> None:
    trace = recorded()[4]
    made, table, state, counted = program(DraftLimit(5)), words(vocabulary(NAME), ("\n", ";")), None, WordState()
    state = made.start(trace.prompt)
    for token in trace.thinking[:150]:
        came = state.edit.redirect.get(token, token)
        state = made.step(state, came, token)
        counted = table.after(counted, came)
        assert counted.words <= 5


def test_no_recorded_trace_is_a_loop_and_a_made_up_one_is() -> None:
    control = LoopBreaker()
    for trace in recorded():
        state = replay(program(control), trace.prompt, trace.thinking)
        assert state.script is None
    ids = recorded()[0].thinking[:20]
    tokens, _ = cut(Recorded(recorded()[0].row, (*recorded()[0].thinking[:100], *ids * 20), ()), control)
    assert 100 + 4 * 20 <= len(tokens) <= 100 + 4 * 20 + 32 + 4
    assert period(ids * 4, 4, 128, 48) == 20
