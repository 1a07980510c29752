"""Laws that hold for every control, on single-token and awkward markers, for any tokens at all."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import TOKENS, chains, controls, edits

from thinkpace import (
    BudgetForcing,
    Control,
    Markers,
    NoLegalToken,
    Phase,
    ThinkBudget,
    UnsupportedControl,
)
from thinkpace.processors import KEEP, Decision, Edit, Processor, Script, compile_program
from thinkpace.processors.core.chain import chain
from thinkpace.processors.core.tracker import Track
from thinkpace.testing import MARKERS, VOCABULARY, laws
from thinkpace.testing.drive import Armed, Wish, run


def armed(controls: tuple[Control, ...], markers: Markers) -> Armed:
    return Armed(controls, compile_program(controls, VOCABULARY, markers, max_new_tokens=40))


ARMED = st.builds(armed, chains(), st.sampled_from(MARKERS))
#: what an engine might do at each step: the token it would like, and a number that settles all else
WISHES = st.lists(st.tuples(st.integers(0, VOCABULARY.size - 1), st.integers(0, 5)), max_size=30)


@given(ARMED, TOKENS, WISHES)
def test_replay_equals_stepping_and_states_never_change(armed: Armed, prompt: list[int], wishes: list[Wish]) -> None:
    laws.replay_equals_stepping(armed.program, prompt, wishes)


@given(ARMED, TOKENS, WISHES)
def test_idling_equals_stepping(armed: Armed, prompt: list[int], wishes: list[Wish]) -> None:
    """The fast path beside the slow one: the edit before every token, and the state wherever somebody asks."""
    laws.idling_equals_stepping(armed.program, prompt, wishes)


@given(ARMED, TOKENS, WISHES)
def test_kinds_add_up_and_the_budget_holds(armed: Armed, prompt: list[int], wishes: list[Wish]) -> None:
    laws.kinds_add_up(armed.program, prompt, wishes)
    if armed.budget is not None and armed.budget.max_tokens is not None:
        states, _, _ = run(armed.program, prompt, wishes)
        assert all(state.track.thinking_spent <= armed.budget.max_tokens for state in states)


@given(ARMED, TOKENS, WISHES)
def test_thinking_is_not_closed_below_the_minimum(armed: Armed, prompt: list[int], wishes: list[Wish]) -> None:
    least = armed.budget.min_tokens if armed.budget is not None else 0
    states, _, _ = run(armed.program, prompt, wishes)
    for before, after in itertools.pairwise(states):
        if before.track.phase is Phase.THINKING and after.track.phase is Phase.ANSWER:
            near_the_request_limit = before.track.emitted + 16 >= 40
            assert after.track.thinking_spent >= least or near_the_request_limit


@given(ARMED, TOKENS, WISHES)
def test_a_character_is_finished_before_thinking_is_closed(armed: Armed, prompt: list[int], wishes: list[Wish]) -> None:
    """Whatever closes it: a limit, a loop, a step. What the model itself leaves unfinished is its own."""
    laws.characters_are_finished(armed.program, prompt, wishes)


@given(ARMED, TOKENS, TOKENS)
def test_a_token_is_always_legal_whatever_the_engine_did(armed: Armed, prompt: list[int], tokens: list[int]) -> None:
    laws.a_token_is_always_legal(armed.program, prompt, tokens)


@given(ARMED, TOKENS, WISHES)
def test_programs_pickle_and_a_pickled_one_goes_on_alike(armed: Armed, prompt: list[int], wishes: list[Wish]) -> None:
    laws.a_pickled_program_goes_on_alike(armed.program, prompt, wishes)


@given(controls())
def test_controls_to_text_and_back(control: Control) -> None:
    laws.text_and_back(control)


class Fixed(Processor[None]):
    """A processor that always decides the same."""

    def __init__(self, decision: Edit | Script) -> None:
        self.decision = decision

    def init(self, track: Track) -> None:
        return None

    def decide(self, state: None, track: Track) -> Edit | Script:
        return self.decision


def decided(*parts: Edit | Script) -> Decision | None:
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
