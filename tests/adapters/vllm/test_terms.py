"""Controls on their way to a worker and what the worker tells on its way back; vLLM itself is not needed for either."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.conformance import CASES
from support.strange import Strange

from thinkpace import BudgetForcing, ConfidenceExit, LoopBreaker, Markers, ThinkBudget
from thinkpace.adapters.sequences.sequence_log import SequenceLog
from thinkpace.adapters.vllm.notes import Notes, close_notes, noted_from_json, of, open_notes, read_notes
from thinkpace.adapters.vllm.served_model import replayed
from thinkpace.adapters.vllm.terms import WireRequest, extra_args, terms_from
from thinkpace.processors import compile_program
from thinkpace.testing import VOCABULARY

NESTED = "[" + '{"control": "After", "tokens": 1, "inner": ' * 400 + "1" + "}" * 400 + "]"
NAMES = st.text("abcXYZ019-_", max_size=12)


@pytest.mark.parametrize("case", CASES.values(), ids=[*CASES])
@given(seed=st.none() | st.integers(), receipt=NAMES, has_siblings=st.booleans(), continued=st.integers(0, 5))
def test_terms_travel_as_text(case, seed: int | None, receipt: str, has_siblings: bool, continued: int) -> None:  # type: ignore[no-untyped-def]
    drawn = tuple((at, 7) for at in range(0, continued, 2))
    terms = WireRequest(case.controls, case.markers, seed, receipt, has_siblings, continued, drawn)
    assert terms_from({"thinkpace": terms.text()}) == terms
    given = extra_args(*case.controls, markers=case.markers, seed=seed)
    assert terms_from(given) == WireRequest(case.controls, case.markers, seed)


def test_other_requests_ask_for_nothing() -> None:
    assert terms_from(None) is None
    assert terms_from({"another": 1}) is None


def test_short_forms() -> None:
    assert terms_from({"thinkpace": "ThinkBudget(5) + loop_breaker"}) == WireRequest((ThinkBudget(5), LoopBreaker()))
    assert terms_from({"thinkpace": '[{"control": "ThinkBudget", "max_tokens": 5}]'}) == WireRequest((ThinkBudget(5),))
    assert terms_from({"thinkpace": '{"controls": []}'}) == WireRequest(())


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"thinkpace": 1}, "thinkpace"),
        ({"thinkpace": " "}, "thinkpace is empty"),
        ({"thinkpac": "LoopBreaker()"}, "'thinkpac' among the extra arguments"),
        ({"ThinkBudget": 5}, "'ThinkBudget' among the extra arguments"),
        ({"thinkpace": None, "thinking_budget": 4}, "thinking_budget"),
        ({"thinkpace": "{"}, "thinkpace: no JSON"),
        ({"thinkpace": "[" * 100_000}, "thinkpace: no JSON"),
        ({"thinkpace": NESTED}, "thinkpace.controls.*deep"),
        ({"thinkpace": "ThinkBudget(max=1)"}, "thinkpace: ThinkBudget has no field 'max'"),
        ({"thinkpace": '{"control": []}'}, "thinkpace.control is no field"),
        ({"thinkpace": '{"controls": {}}'}, "thinkpace.controls must be a list"),
        ({"thinkpace": '[1]'}, r"thinkpace.controls\[0\]"),
        ({"thinkpace": '[{"control": "ThinkBudget", "max_tokens": 1e3}]'}, r"thinkpace.controls\[0\].*max_tokens"),
        ({"thinkpace": '{"markers": "<t>"}'}, "thinkpace.markers"),
        ({"thinkpace": '{"markers": {"open": "<t>"}}'}, "thinkpace.markers.*close"),
        ({"thinkpace": '{"seed": true}'}, "thinkpace: seed"),
        ({"thinkpace": '{"receipt": "../../etc"}'}, "thinkpace: receipt"),
        ({"thinkpace": '{"continued": -1}'}, "thinkpace: continued"),
        ({"thinkpace": '{"continued": 2, "drawn": [[2, 5]]}'}, "thinkpace: drawn"),
        ({"thinkpace": '{"continued": 2, "drawn": [1]}'}, "thinkpace.drawn"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_named(given: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        terms_from(given)


@pytest.fixture
def request_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return open_notes()


def test_a_receipt_is_made_from_the_notes(request_name: str, tmp_path: Path) -> None:
    """A worker notes what was drawn and measured; whoever answers replays the tokens, and gets its receipt."""
    forcing = BudgetForcing(waits=1, final=None, answer_reserve=0)
    controls = (ConfidenceExit("probability", 1.0, separators=("\n",)), forcing)
    program = compile_program(controls, VOCABULARY, Markers("<t>", "</t>"), max_new_tokens=20)
    prompt, said = VOCABULARY.encode("Q<t>"), VOCABULARY.encode("aWaita</t>7<eos>")
    worker, notes = SequenceLog(program, prompt), Notes(request_name, prompt, 20)
    close = VOCABULARY.encode("</t>")[0]
    for at, token in enumerate(said):
        if worker.wants:
            numbers = dict.fromkeys(worker.wants, 0.5 + at / 100)
            worker.receive(numbers)
            notes.note_statistics(worker.tokens, numbers)
        worker.record_row(lambda _edit, _token, _at: close)
        worker.advance(token)
        if at in worker.drawn:
            notes.came(worker.tokens, worker.drawn[at])
    [noted] = read_notes(request_name)
    assert noted.max_tokens == 20
    assert noted.drawn == {1: close}
    for read in (noted, noted_from_json(json.loads(json.dumps(noted.to_json())))):
        log = replayed(program, prompt, said, read.history(said))
        assert log.receipt() == worker.receipt()
        assert log.receipt().waits == 1
    close_notes(request_name)
    notes.came((*said, 0))  # who asked has gone: nothing is written any more
    Notes(request_name, prompt, 20)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_sequences_of_one_request_are_told_apart(request_name: str) -> None:
    """By their prompts, and by their tokens as far as they were given out: a stop string cuts some off."""
    for prompt, tokens, drawn in (([0], [1, 2, 3], 7), ([0], [1, 2, 4], 8), ([5], [1, 2, 3], 9)):
        Notes(request_name, prompt, None).came(tokens, drawn)
    notes = read_notes(request_name)
    for prompt, tokens, drawn in (([0], [1, 2, 3, 9], 7), ([0], [1, 2, 4], 8), ([5], [1, 2], 9)):
        noted = of(notes, prompt, tokens)
        assert noted is not None
        assert noted.drawn == {2: drawn}
    assert of(notes, [0], [5]) is None
    assert of(notes, [1], [1, 2, 3]) is None


def test_an_output_that_is_cut_back_takes_its_notes_along(request_name: str) -> None:
    notes = Notes(request_name, [0], None)
    notes.came([1, 2, 3, 4], 9)
    notes.rewound(2)
    notes.came([1, 2, 5, 6], 8)
    [noted] = read_notes(request_name)
    assert (noted.tokens, noted.drawn) == ([1, 2, 5, 6], {3: 8})


def test_the_last_token_is_told_beforehand(request_name: str) -> None:
    """What comes at the limit is never shown to a worker: it notes what will have been drawn there."""
    notes = Notes(request_name, [0], 3)
    notes.expects([1, 2], {4: 9, 5: 5}, None)
    [noted] = read_notes(request_name)
    assert [dict(noted.history([1, 2, last]).drawn) for last in (4, 5, 6)] == [{2: 9}, {}, {}]
    assert dict(noted.history([1, 2]).drawn) == {}


def test_a_control_that_a_server_cannot_rebuild_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be kept and sent as text"):
        extra_args(Strange(3))
