"""The tensor form of programs is the host form: random programs and token streams, the same states and edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from machine import Wish, numbers_for, run
from real_vocabularies import FILES, needs_shared, vocabulary
from strategies import MARKERS, TOKENS, VOCABULARY, chains

from thinkpace import (
    BudgetForcing,
    ConfidenceExit,
    Control,
    DraftLimit,
    LoopBreaker,
    Markers,
    NoLegalToken,
    PhasedSpeed,
    StepBudget,
    StructuredAnswer,
    SuppressExpressions,
    ThinkBudget,
    ThoughtBudget,
    ThoughtSwitchPenalty,
    UnsupportedControl,
)
from thinkpace.adapters.device.columns import where
from thinkpace.adapters.device.program import TensorProgram
from thinkpace.adapters.device.tables import PhrasesTable
from thinkpace.adapters.device.writer import write
from thinkpace.adapters.logits.reference import edited
from thinkpace.processors import Need, Program, State, compile_program
from thinkpace.processors.controls.gates import After, During
from thinkpace.processors.text.expressions import THOUGHT_SWITCHES
from thinkpace.processors.text.phrases import phrases

CPU = torch.device("cpu")
STUBBORN = 5


@dataclass(frozen=True)
class Case:
    """A program, and what comes under it in several rows."""

    controls: tuple[Control, ...]
    markers: Markers
    prompt: list[int]
    streams: list[list[Wish]]
    max_new: int | None


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any controls, and streams that do not come out short, as they do where every token is drawn by itself."""
    markers = draw(st.sampled_from(MARKERS))
    opening = VOCABULARY.encode(markers.open)
    prompt = [*draw(TOKENS), *draw(st.sampled_from([(), opening, opening]))]
    random = Random(draw(st.integers(0, 1 << 32)))
    streams = [stream(random, markers, random.randint(0, 24)) for _ in range(draw(st.integers(1, 4)))]
    return Case(draw(chains()), markers, prompt, streams, draw(st.none() | st.integers(8, 40)))


def stream(random: Random, markers: Markers, length: int) -> list[Wish]:
    """Wishes: whole markers and phrases among them, a few ends, and a few that come whatever the edit is."""
    texts = (markers.open, markers.close, markers.close, "Wait", "\n\n", "waitso")
    chunks = [*map(VOCABULARY.encode, texts), *((token,) for token in range(VOCABULARY.size))]
    tokens = list[int]()
    while len(tokens) < length:
        tokens += random.choice(chunks)
    return [(token, random.choice([0, 1, 2, 3, 4] * 2 + [STUBBORN])) for token in tokens[:length]]


def compiled(case: Case) -> tuple[Program, TensorProgram]:
    """Both forms. The tensor form is of the program without the request's limit, which is a column of its own."""
    program = compile_program(case.controls, VOCABULARY, case.markers, max_new_tokens=case.max_new)
    program.start(case.prompt)
    return program, TensorProgram(compile_program(case.controls, VOCABULARY, case.markers), VOCABULARY, CPU)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):
        return all(same(a, b) for a, b in zip(one, other, strict=True))
    return torch.equal(one, other.to(one.dtype)) if one.dtype != torch.float64 else torch.allclose(one, other)


def known_of(wants: Mapping[Any, torch.Tensor], told: Sequence[Mapping[Need, float]]) -> dict[Any, Any]:
    """The numbers as a device has them; both forms want the same ones."""
    out = {}
    for kind, mask in wants.items():
        values = [next((v for need, v in numbers.items() if need.kind == kind), -1.0) for numbers in told]
        assert [value >= 0 for value in values] == mask.tolist(), kind
        out[kind] = torch.tensor(values, dtype=torch.float64), mask
    return out


def informed(program: Program, state: State, numbers: Mapping[Need, float]) -> State | None:
    """The state with its numbers; None where the two leave no token."""
    try:
        return program.inform(state, numbers) if numbers else state
    except NoLegalToken:
        return None


def check(case: Case, program: Program, form: TensorProgram) -> None:
    """Both forms along the same tokens, row by row: states, numbers that are wanted, phrases, edits."""
    runs = [run(program, case.prompt, wishes, stubborn=STUBBORN) for wishes in case.streams]
    limits = [case.max_new] * len(runs)
    rows = form.columns([states[0] for states, _, _ in runs], limits)
    generator = np.random.default_rng(0)
    heat = torch.tensor([0.0, 0.7, 0.0, 2.0], dtype=torch.float64)[: len(runs)]
    for i in range(max(len(states) for states, _, _ in runs)):
        alive = torch.tensor([i < len(states) for states, _, _ in runs])
        hosts = [states[min(i, len(states) - 1)] for states, _, _ in runs]
        expected = form.columns(hosts, limits)
        rows = where(alive, rows, expected)  # of streams that are over nothing more is asked
        assert same(rows, expected), (i, rows, expected)
        told = [t.numbers.get(i) or numbers_for(host, 1) for host, (_, _, t) in zip(hosts, runs, strict=True)]
        told = [numbers if host.needs else {} for numbers, host in zip(told, hosts, strict=True)]
        decided, forced, wish = form.decide(rows, known_of(form.wants(rows), told))
        scores = generator.normal(size=(len(runs), program.size))
        logits = torch.tensor(scores)
        half = torch.full((len(runs),), 0.5, dtype=torch.float64)
        write(logits, torch.arange(len(runs)), wish.writes, heat, [half] * (len(wish.writes) + 1))
        states = [informed(program, host, numbers) for host, numbers in zip(hosts, told, strict=True)]
        for row, state in enumerate(states):
            if state is None:
                continue
            assert int(decided.script[row]) == form.number(state), (row, state)
            assert int(forced[row]) == (state.script.ids[state.at] if state.script is not None else -1)
            if state.script is None and not state.track.ended:
                row_edited = edited(scores[row], state.edit, float(heat[row]))
                np.testing.assert_allclose(logits[row].numpy(), row_edited, atol=1e-9)
        come = [tokens[i] if i < len(tokens) else 0 for _, tokens, _ in runs]
        drawn = [t.drawn.get(i, token) for (_, _, t), token in zip(runs, come, strict=True)]
        redrew = [s is not None and d in s.edit.redraw for d, s in zip(drawn, states, strict=True)]
        rows = form.step(decided, torch.tensor(come), torch.tensor(drawn), torch.tensor(redrew))


def told(text: str, *, numbers: int = 1) -> list[Wish]:
    return [(token, numbers) for token in VOCABULARY.encode(text)]


ONE, MANY = MARKERS[0], MARKERS[1]


@pytest.mark.parametrize(
    ("controls", "markers", "text", "happens"),
    [
        ((BudgetForcing(9, waits=1, final=None, answer_reserve=0),), ONE, "a</t>a</t>aa", ("replaced", "wait")),
        (
            (BudgetForcing(9, waits=2, final=None, wait="Waitso", answer_reserve=0),),
            MANY,
            "a</think>a<eos>a",
            ("wrote", "wait"),
        ),
        (
            (BudgetForcing(9, waits=1, final=None, wait=None, answer_reserve=0),),
            ONE,
            "a</t>a</t>a",
            ("redrew", "ignored close"),
        ),
        ((BudgetForcing(waits=1, final="so", final_always=True),), ONE, "</t>a</t>aa", ("wrote", "final")),
        ((ThinkBudget(3, message="so"),), ONE, "aaaaaaaa", ("wrote", "limit")),
        ((ThinkBudget(3),), MANY, "aa</aaaa", ("wrote", "begun close")),
        ((ThinkBudget(),), MANY, "a</<eos>aaaa", ("wrote", "end of sequence")),
        ((ThinkBudget(9, landing=6),), ONE, "aaaaa\naaaa", ("wrote", "landing")),
        ((ThinkBudget(2, guard=4),), ONE, "aaaaWait<t>a</t>aWait", ("wrote", "limit")),
        ((PhasedSpeed(slow_tokens=4, separators=(";",), slow=("so",)),), ONE, "a;aaaa so\naa", ("wrote", "slow")),
        ((PhasedSpeed(slow_tokens=2, slow=("so",)),), ONE, "aaa soaaaa", ("wrote", "fast")),
        ((ThoughtBudget(1, ("so",)),), ONE, "a a so aaaaa", ("wrote", "thoughts")),
        ((StepBudget(2, (";",)),), ONE, "a;;a;aaaa", ("wrote", "steps")),
        ((DraftLimit(2),), ONE, "a a a a\na", ("replaced", "draft limit")),
        ((LoopBreaker(2, 3, 4),), ONE, "a7" * 20, ("wrote", "loop")),
        ((ConfidenceExit("probability", 0.1, 1, separators=(";",)),), ONE, "aa;aa;aa", ("wrote", "confident")),
        ((ConfidenceExit("entropy", 0.5, 2, separators=(";",)),), ONE, "a;a;a;aa", ("wrote", "confident")),
        ((ConfidenceExit("margin", 0.5, 1, separators=(";",)),), ONE, "aa;aa;aa", ("wrote", "confident")),
        ((After(6, ThoughtBudget(1, ("so",))),), ONE, "a so aa so aa", ("wrote", "thoughts")),
    ],
    ids=str,
)
def test_what_every_machine_does(controls: tuple[Control, ...], markers: Markers, text: str, happens: Any) -> None:
    prompt = [*VOCABULARY.encode("Q" + markers.open)]
    case = Case(controls, markers, prompt, [told(text), told(text[1:])], None)
    program, form = compiled(case)
    states, _, _ = run(program, prompt, case.streams[0])
    assert happens in [(event.what, event.why) for event in states[-1].events]
    check(case, program, form)


def test_penalties_bans_and_patterns_hold_where_they_did() -> None:
    """They write no phrase: what they do shows in the edits."""
    controls = (
        SuppressExpressions(("a a",)),
        DraftLimit(1, "soft"),
        During("answer", StructuredAnswer(choices=("7", "aa"))),
    )
    prompt = [*VOCABULARY.encode("Q<t>")]
    for multi_token in ("last", "first"):
        penalty = ThoughtSwitchPenalty(beta=4, expressions=("a so", "wait"), multi_token=multi_token)
        texts = ("a a so a so aaa</t>aa<eos>", "a;a a so Wait</t>7", "<t>aaa</t>7a")
        case = Case((penalty, *controls), ONE, prompt, [told(text) for text in texts], None)
        check(case, *compiled(case))


@needs_shared
@pytest.mark.parametrize("name", FILES)
def test_tables_of_real_vocabularies_are_what_the_host_steps_through(name: str) -> None:
    """Classes of tokens stand for all of them: every automaton, from cursors that streams of tokens lead to."""
    known, random = vocabulary(name), Random(1)
    words = phrases(known, THOUGHT_SWITCHES)
    blank = phrases(known, ("\n\n",), exact=True)
    lively = sorted({*words.heeds, *blank.heeds})
    for automaton in (words, blank):
        table = PhrasesTable(automaton, known.size, CPU)
        cursors, tokens = [0], [0]
        while len(tokens) < 100_000:
            token = random.choice(lively) if random.random() < 0.5 else random.randrange(known.size)
            cursors.append(automaton.step(cursors[-1], tokens[-1])[0] if len(tokens) > 1 else 0)
            tokens.append(token)
        at, came = torch.tensor(cursors), torch.tensor(tokens)
        steps = [automaton.step(cursor, token) for cursor, token in zip(cursors, tokens, strict=True)]
        assert table.step(at, came).tolist() == [after for after, _ in steps]
        assert table.found(at, came).tolist() == [found is not None for _, found in steps]


@needs_shared
def test_a_program_on_a_real_vocabulary_is_the_same_in_both_forms() -> None:
    known, random = vocabulary("qwen3"), Random(2)
    markers = Markers("<think>", "</think>")
    controls = (
        ThoughtSwitchPenalty(beta=20),
        DraftLimit(3),
        StepBudget(6),
        BudgetForcing(60, 5, waits=2, landing=9, guard=5, answer_reserve=5),
    )
    program = compile_program(controls, known, markers)
    form = TensorProgram(program, known, CPU)
    texts = ["Wait, no.", " So 1,000 is", "\n\n", "</think>", " Alternatively", "漢字", " don't", "<|im_end|>", ". Hmm"]
    prompt = [*known.encode("Q<think>\n")]
    streams = [[(t, 1) for _ in range(30) for t in known.encode(random.choice(texts))] for _ in range(4)]
    check(Case(controls, markers, prompt, [stream[:90] for stream in streams], None), program, form)


QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def lawful(case: Case) -> None:
    try:
        program, form = compiled(case)
    except (UnsupportedControl, NoLegalToken):
        assume(False)
    check(case, program, form)


@given(cases())
@settings(max_examples=300, deadline=None, suppress_health_check=QUIET)
def test_the_tensor_form_is_the_host_form(case: Case) -> None:
    lawful(case)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(cases())
@settings(max_examples=max(1000, settings().max_examples), deadline=None, suppress_health_check=QUIET)
def test_the_tensor_form_is_the_host_form_a_thousand_times(case: Case) -> None:
    """With --hypothesis-profile=exhaustive ten thousand times."""
    lawful(case)
