"""Laws that hold for every control, on single-token and awkward markers, for any tokens at all."""

from __future__ import annotations

import itertools
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import MARKERS, TOKENS, VOCABULARY, controls, edits

from thinkpace import (
    BudgetForcing,
    Control,
    Markers,
    NoLegalToken,
    Phase,
    ThinkBudget,
    UnsupportedControl,
    control_from_json,
)
from thinkpace.processors import KEEP, Edit, Program, Script, State, chain, compile_program, kinds, replay
from thinkpace.processors.phase import Track


def compiled(control: Control, markers: Markers) -> Program:
    return compile_program([control], VOCABULARY, markers, max_new_tokens=40)


PROGRAMS = st.builds(compiled, controls(), st.sampled_from(MARKERS))
#: what an engine might do at each step: the token it would like, and a number that settles where it came from
WISHES = st.lists(st.tuples(st.integers(0, VOCABULARY.size - 1), st.integers(0, 5)), max_size=30)


def taken(edit: Edit, wish: int, origin: int) -> tuple[int, int]:
    """(token, drawn) of an engine that would like `wish` and keeps to the edit."""
    if edit.forced is not None:
        return edit.forced, edit.forced
    if wish in edit.redraw:
        legal = [t for t in range(VOCABULARY.size) if t not in edit.redraw and t not in edit.ban]
        return legal[origin % len(legal)], wish
    while wish in edit.ban:
        wish = (wish + 1) % VOCABULARY.size
    return edit.redirect.get(wish, wish), wish


def run(
    program: Program, prompt: list[int], wishes: list[tuple[int, int]]
) -> tuple[list[State], list[int], dict[int, int]]:
    states, tokens, drawn = [program.start(prompt)], list[int](), dict[int, int]()
    for wish, origin in wishes:
        token, came_from = taken(states[-1].edit, wish, origin)
        if came_from != token:
            drawn[len(tokens)] = came_from
        tokens.append(token)
        states.append(program.step(states[-1], token, came_from))
    return states, tokens, drawn


@given(PROGRAMS, TOKENS, WISHES)
def test_replay_equals_stepping_and_states_never_change(
    program: Program, prompt: list[int], wishes: list[tuple[int, int]]
) -> None:
    states, tokens, drawn = run(program, prompt, wishes)
    snapshots = [pickle.dumps(state) for state in states]
    for length in range(len(tokens) + 1):
        assert replay(program, prompt, tokens[:length], drawn) == states[length]
    assert [pickle.dumps(state) for state in states] == snapshots


@given(PROGRAMS, TOKENS, WISHES)
def test_kinds_add_up_and_the_budget_holds(program: Program, prompt: list[int], wishes: list[tuple[int, int]]) -> None:
    states, tokens, drawn = run(program, prompt, wishes)
    receipt = program.receipt(states[-1], len(prompt))
    sorts = kinds(program, prompt, tokens, drawn)
    ended = next((i for i, state in enumerate(states) if state.track.ended), len(tokens))
    assert receipt.usage.completion == min(ended, len(tokens))
    assert receipt.usage.thinking == sorts[:ended].count("thinking")
    assert receipt.usage.forced == sorts[:ended].count("injected") + sorts[:ended].count("closing")
    assert receipt.usage.marker == sorts[:ended].count("marker")
    limit = program.processor.parts[0].limits.max_tokens  # type: ignore[attr-defined]  # a chain of one ending
    if limit is not None:
        assert all(state.track.spent <= limit for state in states)


@given(PROGRAMS, TOKENS, WISHES)
def test_thinking_is_not_closed_below_the_minimum(
    program: Program, prompt: list[int], wishes: list[tuple[int, int]]
) -> None:
    least = program.processor.parts[0].limits.min_tokens  # type: ignore[attr-defined]  # a chain of one ending
    states, _, _ = run(program, prompt, wishes)
    for before, after in itertools.pairwise(states):
        if before.track.phase is Phase.THINKING and after.track.phase is Phase.ANSWER:
            near_the_request_limit = before.track.emitted + 12 >= 40
            assert after.track.spent >= least or near_the_request_limit


@given(PROGRAMS, TOKENS, TOKENS)
def test_a_token_is_always_legal_whatever_the_engine_did(
    program: Program, prompt: list[int], tokens: list[int]
) -> None:
    """Engines may ignore what was asked (a grammar, a stop): states go on, and something can always come next."""
    state = program.start(prompt)
    for token in tokens:
        state = program.step(state, token)
        barred = state.edit.ban | state.edit.redraw
        assert len(barred) < VOCABULARY.size
        assert state.edit.only is None or state.edit.only


@given(PROGRAMS, TOKENS, WISHES)
def test_programs_pickle_and_a_pickled_one_goes_on_alike(
    program: Program, prompt: list[int], wishes: list[tuple[int, int]]
) -> None:
    copy = pickle.loads(pickle.dumps(program))
    assert run(copy, prompt, wishes)[0] == run(program, prompt, wishes)[0]


@given(controls())
def test_json_both_ways(control: Control) -> None:
    assert control_from_json(json.loads(json.dumps(control.to_json()))) == control
    assert eval(repr(control), {"ThinkBudget": ThinkBudget, "BudgetForcing": BudgetForcing}) == control


class Fixed:
    """A processor that always decides the same."""

    def __init__(self, decision: Edit | Script) -> None:
        self.decision = decision

    def init(self, track: Track) -> None:
        return None

    def observe(self, state: None, before: Track, after: Track, token: int, drawn: int) -> None:
        return None

    def decide(self, state: None, track: Track) -> Edit | Script:
        return self.decision

    def explain(self, state: None, before: Track, token: int, drawn: int) -> str:
        return ""


def decided(*parts: Edit | Script) -> Edit | Script | None:
    whole = chain(*(Fixed(part) for part in parts))
    track = Track(Phase.THINKING)
    try:
        return whole.decide(whole.init(track), track)
    except NoLegalToken:
        return None


@given(st.lists(edits(), max_size=4))
def test_a_chain_equals_its_parts_in_order(parts: list[Edit]) -> None:
    expected: Edit | None = KEEP
    for part in parts:
        try:
            expected = expected.then(part) if expected is not None else None
        except NoLegalToken:
            expected = None
    assert decided(*parts) == expected


@given(st.lists(edits(), max_size=4), st.integers(0, 4))
def test_chaining_is_associative(parts: list[Edit], cut: int) -> None:
    track = Track(Phase.THINKING)
    processors = [Fixed(part) for part in parts]
    nested = chain(chain(*processors[:cut]), chain(*processors[cut:]))
    flat = decided(*parts)
    if flat is not None and decided(*parts[:cut]) is not None and decided(*parts[cut:]) is not None:
        assert nested.decide(nested.init(track), track) == flat


def test_the_message_names_the_controls_that_collide() -> None:
    whole = chain(Fixed(Edit(only=frozenset({1}))), Fixed(Edit(ban=frozenset({1}))), names=("first", "second"))
    with pytest.raises(NoLegalToken, match="second leaves no token after first"):
        whole.decide(whole.init(Track(Phase.ANSWER)), Track(Phase.ANSWER))
    writers = chain(Fixed(Script((1,), "x")), Fixed(Script((2,), "x")), names=("first", "second"))
    with pytest.raises(NoLegalToken, match="first and second want to write"):
        writers.decide(writers.init(Track(Phase.ANSWER)), Track(Phase.ANSWER))


def test_a_phrase_goes_before_edits() -> None:
    script = Script((1,), "limit")
    assert decided(Edit(ban=frozenset({1})), script) == script


def test_two_controls_that_decide_the_end_are_refused() -> None:
    with pytest.raises(UnsupportedControl, match="only one control"):
        compile_program([ThinkBudget(5), BudgetForcing(waits=1)], VOCABULARY, MARKERS[0])
