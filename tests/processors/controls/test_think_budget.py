"""ThinkBudget: cases to check by hand. `says` is what the model would say, `text` what comes of it."""

from __future__ import annotations

import json

from thinkpace import ThinkBudget, control_from_json, controls_from_text
from thinkpace.adapters.scripted import WordVocabulary
from thinkpace.processors import Markers, compile_program
from thinkpace.testing import Case, run_case


def test_it_closes_at_the_limit() -> None:
    """One token is thought; the model says the rest of its thinking in the answer."""
    run_case(Case("aa</t>7", "a</t>a</t>7<eos>", 1, "forced", (ThinkBudget(1, answer_reserve=0),)))


def test_it_does_not_close_before_the_minimum() -> None:
    """The close cannot come as second token: `<`, the next likeliest, does."""
    run_case(Case("a</t>7", "a<</t>7<eos>", 2, "natural", (ThinkBudget(min_tokens=2, answer_reserve=0),)))


def test_it_keeps_room_for_the_answer() -> None:
    """Of 8 output tokens 3 are kept and 1 is the close: 4 are thought."""
    run_case(Case("aaaaaaaaaa</t>7", "aaaa</t>aaa", 4, "forced", (ThinkBudget(answer_reserve=3),), limit=8))


def test_it_waits_for_the_end_of_a_tool_call_in_special_tokens() -> None:
    """The call is held for at most 9 tokens; the receipt says that it was, and from where."""
    words = ("<t>", "</t>", "<tool_call>", "</tool_call>", "a", "<eos>")
    vocabulary = WordVocabulary(words)
    object.__setattr__(vocabulary, "special", frozenset({0, 1, 2, 3, 5}))
    program = compile_program((ThinkBudget(2, answer_reserve=0, hold=9),), vocabulary, Markers("<t>", "</t>"))
    state, tokens = program.start([0]), [4, 2, 4, 4, 3]
    for token in tokens:
        assert not state.pending
        state = program.step(state, token)
    assert state.pending == (1,)
    held, wrote = program.step(state, 1).events
    assert (held.what, held.why, held.at) == ("held", "limit", 2)
    assert (wrote.what, wrote.why, wrote.at) == ("wrote", "limit", 5)


def test_what_is_held_comes_back_from_json_and_text() -> None:
    """And a budget that holds nothing is stored as it was before there were spans."""
    control = ThinkBudget(9, hold=3, spans=(("a", "b"), ("c", "d")))
    assert control_from_json(json.loads(json.dumps(control.to_json()))) == control
    assert controls_from_text(repr(control)) == (control,)
    assert "hold" not in ThinkBudget(9).to_json()
