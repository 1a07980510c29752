"""Budget forcing by segments, over a client that answers as a server would: the scripted model behind it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from support.conformance import CASES

from thinkpace import BudgetForcing, LoopBreaker, Request, Sampling, ThinkBudget, UnsupportedControl
from thinkpace.testing import VOCABULARY, Case, run_case
from thinkpace.testing.scripted_hf import WordTokenizer

pytest.importorskip("openai", reason="needs openai: the extra client")

from thinkpace.adapters.segmented import SegmentedEngine

EOS = min(VOCABULARY.eos)


class Server:
    """`client.completions` and `client.models` of a server that says the script of a case."""

    def __init__(self, case: Case) -> None:
        self.case, self.calls = case, 0
        self.completions = self
        self.models = SimpleNamespace(list=lambda: SimpleNamespace(data=[SimpleNamespace(id="scripted")]))

    def create(self, *, prompt: Any, max_tokens: int, stop: list[str] | None, extra_body: Any, **_: Any) -> Any:
        self.calls += 1
        ids = isinstance(prompt, list)
        before = tuple(prompt) if ids else VOCABULARY.encode(prompt)
        output, stops = list(before[len(self.case.prompt_ids) :]), extra_body.get("stop_token_ids", [])
        new = list[int]()
        reason = "length"
        while len(new) < max_tokens:
            row = self.case.model(self.case.prompt_ids, output + new)
            token = max(range(len(row)), key=lambda i: row[i])
            if not ids and (token == EOS or (stop and VOCABULARY.words[token] in stop)):
                reason = "stop"
                break
            new.append(token)
            if token == EOS or token in stops:
                reason = "stop"
                break
        extra = {"token_ids": new} if ids else None
        choice = SimpleNamespace(model_extra=extra, text=VOCABULARY.decode(new), finish_reason=reason)
        return SimpleNamespace(choices=[choice])


def engine(case: Case, monkeypatch: pytest.MonkeyPatch, *, ids: bool = True) -> SegmentedEngine:
    monkeypatch.setattr("thinkpace.adapters.segmented.OpenAI", lambda **_: Server(case))
    return SegmentedEngine("http://unused", WordTokenizer(VOCABULARY), markers=case.markers, ids=ids)


def works(case: Case) -> bool:
    """Whether a case can be had from a server that draws unseen; and one with a close of one token."""
    return len(VOCABULARY.encode(case.markers.close)) == 1 and all(
        isinstance(control, ThinkBudget | BudgetForcing)
        and not control.landing
        and not control.guard
        and not control.hold
        and (not control.min_tokens or (isinstance(control, BudgetForcing) and control.wait is not None))
        and not (isinstance(control, BudgetForcing) and control.waits and control.wait is None)
        for control in case.controls
    )


#: limits of segments that the docstring names: what comes of these cases instead
OTHERWISE = {
    "minimum and limit": "aWait</t>aaa</t>7<eos>",  # no room for a second wait: the close stands, below the minimum
    "a character is not cut": "a漢1</t>漢2漢3</t>7<eos>",  # nothing can keep one from beginning before the limit
}
WORKING = [name for name, case in CASES.items() if works(case)]


def test_there_are_cases() -> None:
    assert len(WORKING) > 15


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("name", WORKING)
def test_case(name: str, ids: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    if name in OTHERWISE:
        [completion] = engine(case, monkeypatch, ids=ids).generate(
            [Request(case.prompt_ids, case.controls, case.limit, Sampling(0))]
        )
        assert completion.text == OTHERWISE[name]
    else:
        run_case(case, engine(case, monkeypatch, ids=ids))


@pytest.mark.parametrize(
    ("control", "message"),
    [
        (LoopBreaker(), "changes what is drawn"),
        (ThinkBudget(9, landing=3), "landing of"),
        (ThinkBudget(9, guard=3), "guard of"),
        (ThinkBudget(9, hold=3), "hold of"),
        (ThinkBudget(min_tokens=3, answer_reserve=0), "min_tokens of"),
        (BudgetForcing(waits=1, wait=None, final=None), "wait=None of"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_asked(
    control: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES["no control"]
    made = engine(case, monkeypatch)
    with pytest.raises(UnsupportedControl, match=message):
        made.generate([Request(case.prompt_ids, (control,), 40, Sampling(0))])
    assert made._client.calls == 0  # type: ignore[attr-defined]  # of the server above


def test_a_server_without_ids_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES["no control"]
    made = engine(case, monkeypatch)
    monkeypatch.setattr(
        made._client.completions,
        "create",
        lambda **_: SimpleNamespace(choices=[SimpleNamespace(model_extra=None, text="a", finish_reason="stop")]),
    )
    with pytest.raises(RuntimeError, match=r"gives no token ids .*pass ids=False"):
        made.generate([Request(case.prompt_ids, (), 40, Sampling(0))])
