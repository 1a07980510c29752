"""The laws of the core on the embedded and on real vocabularies, for random chains of controls."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.real_vocabularies import needs_shared, vocabulary

from thinkpace import (
    QWEN3_MESSAGE,
    BudgetForcing,
    ConfidenceExit,
    Control,
    DraftLimit,
    LoopBreaker,
    Markers,
    PhasedSpeed,
    StepBudget,
    StructuredAnswer,
    SuppressExpressions,
    ThinkBudget,
    ThoughtBudget,
    ThoughtSwitchPenalty,
    after,
    during,
)
from thinkpace.adapters.sequences.sequence_log import SequenceLog
from thinkpace.processors import Vocabulary, compile_program, replay
from thinkpace.testing.drive import Armed, Wish, run

MARKERS = Markers("<think>", "</think>", "</think>\n\n")
OTHERS: tuple[Control, ...] = (
    ThoughtSwitchPenalty(beta=6),
    ThoughtBudget(1),
    SuppressExpressions(),
    during("answer", SuppressExpressions(("wait", "hold on"))),
    DraftLimit(2),
    DraftLimit(2, "soft"),
    StepBudget(1),
    LoopBreaker(2, 4, 8),
    ConfidenceExit("margin", 0.5),
    ConfidenceExit("trial"),
    StructuredAnswer(choices=("yes", "no")),
    after(5, ThoughtBudget(2)),
)
BUDGETS: tuple[Control, ...] = (
    ThinkBudget(9, 2, landing=4, message=QWEN3_MESSAGE, guard=3, answer_reserve=4, approximate=True),
    BudgetForcing(12, 3, 2, answer_reserve=4, approximate=True),
    BudgetForcing(waits=1, wait=None, final=None, answer_reserve=0, approximate=True),
    PhasedSpeed(20, slow_tokens=8, answer_reserve=4),
)
CHAINS = st.tuples(
    st.lists(st.sampled_from(OTHERS), max_size=4, unique=True), st.lists(st.sampled_from(BUDGETS), max_size=1)
).map(lambda two: (*two[0], *two[1]))
TEXT = (
    "Wait, let me try. Hold on: 3.14 is no 漢字 🤔\n\nAlternatively, another approach; hmm.\n company many now"
    "</think>\n\nyes<think>\nno Final Answer: 7"
)


def embedded() -> Vocabulary:
    from thinkpace.adapters.vocabularies.hf_files import read_model_files
    from thinkpace.eval.embedded import path

    return read_model_files(path("hf")).vocabulary


def words(name: str) -> Vocabulary:
    return embedded() if name == "embedded" else vocabulary(name)


@pytest.mark.parametrize(
    "name", ["embedded", *(pytest.param(name, marks=needs_shared) for name in ("qwen3", "qwen2.5", "deepseek-v3-r1"))]
)
def test_laws(name: str) -> None:
    known = words(name)
    pool = sorted({*known.encode(TEXT), *known.eos})
    tokens = st.lists(st.sampled_from(pool), max_size=12)
    wishes = st.lists(st.tuples(st.sampled_from(pool), st.integers(0, 5)), max_size=40)

    @settings(max_examples=60)
    @given(CHAINS, tokens, wishes)
    def check(controls: tuple[Control, ...], before: list[int], wishes: list[Wish]) -> None:
        prompt = [*before, *known.encode("\n<think>\n")]
        armed = Armed(controls, compile_program(controls, known, MARKERS, max_new_tokens=100))
        states, said, history = run(armed.program, prompt, wishes)
        assert replay(armed.program, prompt, said, history) == states[-1]
        log = SequenceLog(armed.program, tuple(prompt))
        for at, token in enumerate(said):
            if at in history.statistics:
                log.receive(history.statistics[at])
            drawn = history.drawn.get(at, token)
            log.record_row(lambda _edit, _token, _at, drawn=drawn: drawn)  # type: ignore[misc]  # bound in this round
            assert log.edit == states[at].edit or at in history.statistics
            log.advance(token)
        assert log.state == states[-1]
        assert pickle.loads(pickle.dumps(states[-1])) == states[-1]
        if armed.budget is not None and armed.budget.max_tokens is not None:
            assert states[-1].track.thinking_spent <= armed.budget.max_tokens
        receipt = armed.program.receipt(states[-1], len(prompt))
        ended = next((i for i, state in enumerate(states) if state.track.ended), len(said))
        assert receipt.usage.completion == ended

    check()
