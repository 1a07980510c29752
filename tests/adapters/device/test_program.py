"""The tensor form of programs is the host form: random programs and token streams, the same states and edits."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.real_vocabularies import FILES, needs_shared, vocabulary
from support.strange import Strange, StrangeMachine
from support.strategies import TOKENS, chains

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
from thinkpace.adapters.device.program import DeviceProgram
from thinkpace.adapters.device.tables import PhrasesTable
from thinkpace.processors import compile_program
from thinkpace.processors.controls.gates import After, During
from thinkpace.processors.text.expressions import THOUGHT_SWITCHES
from thinkpace.processors.text.phrases import phrases
from thinkpace.testing import MARKERS, VOCABULARY
from thinkpace.testing.device import CPU, Rows, check, compiled
from thinkpace.testing.drive import Wish, run
from thinkpace.testing.kit import stream


@st.composite
def cases(draw: st.DrawFn) -> Rows:
    """Any controls, and streams that do not come out short, as they do where every token is drawn by itself."""
    markers = draw(st.sampled_from(MARKERS))
    opening = VOCABULARY.encode(markers.open)
    prompt = [*draw(TOKENS), *draw(st.sampled_from([(), opening, opening]))]
    random = Random(draw(st.integers(0, 1 << 32)))
    streams = [stream(random, markers, random.randint(0, 24)) for _ in range(draw(st.integers(1, 4)))]
    return Rows(draw(chains()), markers, prompt, streams, draw(st.none() | st.integers(8, 40)))


def wishes(text: str) -> list[Wish]:
    return [(token, 1) for token in VOCABULARY.encode(text)]


ONE, MANY = MARKERS[0], MARKERS[1]


@pytest.mark.parametrize(
    ("controls", "markers", "text", "happens"),
    [
        ((BudgetForcing(9, waits=1, final=None, answer_reserve=0),), ONE, "a</t>a</t>aa", ("replaced", "wait")),
        (
            (BudgetForcing(9, waits=2, final=None, wait="Waitso", answer_reserve=0, approximate=True),),
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
    case = Rows(controls, markers, prompt, [wishes(text), wishes(text[1:])], None)
    program, form = compiled(case)
    states, _, _ = run(program, prompt, case.streams[0])
    assert happens in [(event.what, event.why) for event in states[-1].events]
    check(case, program, form)


def test_a_control_of_another_package_needs_a_form_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    program = compile_program((Strange(),), VOCABULARY, MARKERS[0])
    with pytest.raises(UnsupportedControl, match=r"StrangeMachine has no form for devices.*docs/extending\.md"):
        DeviceProgram(program, VOCABULARY, torch.device("cpu"))
    monkeypatch.setattr(StrangeMachine, "device_form", "support.strange:Nothing")
    with pytest.raises(UnsupportedControl, match=r"'support\.strange:Nothing' of StrangeMachine cannot be loaded"):
        DeviceProgram(program, VOCABULARY, torch.device("cpu"))


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
        case = Rows((penalty, *controls), ONE, prompt, [wishes(text) for text in texts], None)
        check(case, *compiled(case))


@needs_shared
@pytest.mark.parametrize("name", FILES)
def test_tables_of_real_vocabularies_are_what_the_host_steps_through(name: str) -> None:
    """Classes of tokens stand for all of them: every automaton, from cursors that streams of tokens lead to."""
    known, random = vocabulary(name), Random(1)
    words = phrases(known, THOUGHT_SWITCHES)
    blank = phrases(known, ("\n\n",), exact=True)
    lively = sorted({*words.wake_tokens, *blank.wake_tokens})
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
        BudgetForcing(60, 5, waits=2, landing=9, guard=5, answer_reserve=5, approximate=True),
    )
    program = compile_program(controls, known, markers)
    form = DeviceProgram(program, known, CPU)
    texts = ["Wait, no.", " So 1,000 is", "\n\n", "</think>", " Alternatively", "漢字", " don't", "<|im_end|>", ". Hmm"]
    prompt = [*known.encode("Q<think>\n")]
    streams = [[(t, 1) for _ in range(30) for t in known.encode(random.choice(texts))] for _ in range(4)]
    check(Rows(controls, markers, prompt, [stream[:90] for stream in streams], None), program, form)


QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def lawful(case: Rows) -> None:
    try:
        program, form = compiled(case)
    except (UnsupportedControl, NoLegalToken):
        assume(False)
    check(case, program, form)


@given(cases())
@settings(max_examples=300, deadline=None, suppress_health_check=QUIET)
def test_the_device_form_equals_the_host_form(case: Rows) -> None:
    lawful(case)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(cases())
@settings(max_examples=max(1000, settings().max_examples), deadline=None, suppress_health_check=QUIET)
def test_the_device_form_equals_the_host_form_a_thousand_times(case: Rows) -> None:
    """With --hypothesis-profile=exhaustive ten thousand times."""
    lawful(case)
