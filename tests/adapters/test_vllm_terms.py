"""Controls on their way to a worker and what the worker tells on its way back; vLLM itself is not needed for either."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conformance import CASES
from hypothesis import given
from hypothesis import strategies as st
from strategies import VOCABULARY

from thinkpace import BudgetForcing, ConfidenceExit, LoopBreaker, Markers, ThinkBudget
from thinkpace.adapters import _vllm_notes
from thinkpace.adapters._served_model import replayed
from thinkpace.adapters._slots import SequenceLog
from thinkpace.adapters._vllm_notes import Notes, noted_from_json
from thinkpace.adapters.vllm_terms import Terms, extra_args, terms_from
from thinkpace.processors import compile_program

NAMES = st.text("abcXYZ019-_", max_size=12)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@given(seed=st.none() | st.integers(), receipt=NAMES)
def test_terms_travel_as_text(case, seed: int | None, receipt: str) -> None:  # type: ignore[no-untyped-def]
    given = extra_args(*case.controls, markers=case.markers, seed=seed, receipt=receipt)
    assert terms_from(given) == Terms(case.controls, case.markers, seed, receipt)


def test_other_requests_ask_for_nothing() -> None:
    assert terms_from(None) is None
    assert terms_from({"another": 1}) is None


def test_short_forms() -> None:
    assert terms_from({"thinkpace": "ThinkBudget(5) + loop_breaker"}) == Terms((ThinkBudget(5), LoopBreaker()))
    assert terms_from({"thinkpace": '[{"control": "ThinkBudget", "max_tokens": 5}]'}) == Terms((ThinkBudget(5),))
    assert terms_from({"thinkpace": ""}) == Terms(())


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"thinkpace": 1}, "thinkpace"),
        ({"thinkpace": None, "thinking_budget": 4}, "thinking_budget"),
        ({"thinkpace": "{"}, "thinkpace: no JSON"),
        ({"thinkpace": "[" * 100_000}, "thinkpace: no JSON"),
        ({"thinkpace": "ThinkBudget(max=1)"}, "thinkpace: ThinkBudget has no field 'max'"),
        ({"thinkpace": '{"control": []}'}, "thinkpace.control is no field"),
        ({"thinkpace": '{"controls": {}}'}, "thinkpace.controls must be a list"),
        ({"thinkpace": '[1]'}, r"thinkpace.controls\[0\]"),
        ({"thinkpace": '[{"control": "ThinkBudget", "max_tokens": 1e3}]'}, r"thinkpace.controls\[0\].*max_tokens"),
        ({"thinkpace": '{"markers": "<t>"}'}, "thinkpace.markers"),
        ({"thinkpace": '{"markers": {"open": "<t>"}}'}, "thinkpace.markers.*close"),
        ({"thinkpace": '{"seed": true}'}, "thinkpace: seed"),
        ({"thinkpace": '{"receipt": "../../etc"}'}, "thinkpace: receipt"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_named(given: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        terms_from(given)


def test_a_receipt_is_made_from_the_notes(tmp_path: Path) -> None:
    """A worker notes what was drawn and measured; whoever answers replays the tokens, and gets its receipt."""
    controls = (
        ConfidenceExit("probability", 1.0, separators=("\n",)),
        BudgetForcing(waits=1, final=None, answer_reserve=0),
    )
    program = compile_program(controls, VOCABULARY, Markers("<t>", "</t>"), max_new_tokens=20)
    prompt, said = VOCABULARY.encode("Q<t>"), VOCABULARY.encode("aWaita</t>7<eos>")
    worker, notes = SequenceLog(program, prompt), Notes(tmp_path, "r", 20)
    close = VOCABULARY.encode("</t>")[0]
    for at, token in enumerate(said):
        if worker.needs:
            numbers = dict.fromkeys(worker.needs, 0.5 + at / 100)
            worker.inform(numbers)
            notes.measured(worker.tokens, numbers)
        worker.saw(lambda _edit, _token, _at: close)
        worker.advance(token)
        if at in worker.drawn:
            notes.drew(worker.tokens, worker.drawn[at])
    [noted] = _vllm_notes.read(tmp_path, "r")
    assert noted.max_tokens == 20
    assert noted.drawn == {1: close}
    for read in (noted, noted_from_json(json.loads(json.dumps(noted.to_json())))):
        log = replayed(program, prompt, said, read.told(said))
        assert log.receipt() == worker.receipt()
        assert log.receipt().waits == 1
    _vllm_notes.remove(tmp_path, "r")
    assert not list(tmp_path.iterdir())


def test_samples_of_one_request_are_told_apart_by_their_tokens(tmp_path: Path) -> None:
    for tokens, drawn in (([1, 2, 3], 7), ([1, 2, 4], 8)):
        Notes(tmp_path, "r", None).drew(tokens, drawn)
    notes = _vllm_notes.read(tmp_path, "r")
    for last, drawn in ((3, 7), (4, 8)):
        noted = _vllm_notes.of(notes, [1, 2, last, 9])
        assert noted is not None
        assert noted.drawn == {2: drawn}
    assert _vllm_notes.of(notes, [5]) is None


def test_the_last_token_is_told_beforehand(tmp_path: Path) -> None:
    """What comes at the limit is never shown to a worker: it notes what will have been drawn there."""
    notes = Notes(tmp_path, "r", 3)
    notes.expects([1, 2], {4: 9, 5: 5}, None)
    [noted] = _vllm_notes.read(tmp_path, "r")
    assert [dict(noted.told([1, 2, last]).drawn) for last in (4, 5, 6)] == [{2: 9}, {}, {}]
    assert dict(noted.told([1, 2]).drawn) == {}
    assert noted.numbers == {}
