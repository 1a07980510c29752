"""Rows keep apart, and a sequence is the same however the engine went about it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.strategies import TOKENS

from thinkpace import BudgetForcing, ConfidenceExit, ThinkBudget
from thinkpace.adapters.sequences.sequence_log import SequenceLog
from thinkpace.adapters.sequences.slots import Slots
from thinkpace.processors import DrawHistory, Edit, compile_program, replay
from thinkpace.testing import MARKERS, VOCABULARY

PROGRAM = compile_program([BudgetForcing(12, 3, 2, "Waitso", "so", answer_reserve=0)], VOCABULARY, MARKERS[0])
PROMPT = VOCABULARY.encode("Q<t>")


def moved(edit: Edit, token: int, at: int) -> int:
    """Evidence that says every other moved token was the model's own."""
    if edit.redraw:
        return min(edit.redraw)
    return max(source for source, _ in edit.moved_onto[token]) if at % 2 else token


def fresh(tokens: list[int]) -> SequenceLog:
    log = SequenceLog(PROGRAM, PROMPT)
    for token in tokens:
        log.record_row(moved)
        log.advance(token)
    return log


@given(st.lists(TOKENS, min_size=1, max_size=6))
def test_any_order_of_looks_gives_the_state_of_the_tokens(shown: list[list[int]]) -> None:
    """Replays, rollbacks, drafts and repeated looks: every look ends in the state that stepping would give."""
    log = SequenceLog(PROGRAM, PROMPT)
    for tokens in shown:
        for length in range(len(tokens) + 1):
            log.sync(tokens[:length])
            log.record_row(moved)
            log.sync(tokens[:length])
        stepped = fresh(tokens)
        assert (log.state, log.tokens, log.drawn) == (stepped.state, stepped.tokens, stepped.drawn)


def test_rollback_further_than_the_kept_states() -> None:
    """Old states are dropped; going back behind them replays what was drawn, and does not draw again."""
    tokens = [VOCABULARY.encode("a")[0], VOCABULARY.encode("Wait")[0]] * 100
    log = fresh(tokens)
    kept = {at: drawn for at, drawn in log.drawn.items() if at < 11}
    log.rewind(11)
    assert log.state == replay(PROGRAM, PROMPT, tokens[:11], DrawHistory(kept))
    assert log.drawn == kept


def test_a_fork_goes_its_own_way() -> None:
    log = fresh(list(VOCABULARY.encode("aaa")))
    copy = log.fork()
    copy.advance(VOCABULARY.encode("a")[0])
    assert log.tokens == list(VOCABULARY.encode("aaa"))
    assert (len(copy.tokens), copy.state.track.thinking_spent, log.state.track.thinking_spent) == (4, 4, 3)


def test_a_refused_phrase_is_seen_and_given_up() -> None:
    """An engine that does not take a forced token (grammar, stop string): recorded, tried again, never in a loop."""
    program = compile_program([ThinkBudget(1, answer_reserve=0)], VOCABULARY, MARKERS[1])
    state = replay(program, VOCABULARY.encode("Q<think>"), VOCABULARY.encode("a</aa"))
    receipt = program.receipt(state, 4)
    assert [event.what for event in receipt.events] == ["wrote", "diverged", "diverged"]
    assert receipt.end == "open"
    assert state.pending == VOCABULARY.encode("</think>"), "it goes on trying"


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 4), st.integers(0, 4)),
        st.tuples(st.just("drop"), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("move"), st.integers(0, 4), st.integers(0, 4)),
        st.tuples(st.just("swap"), st.integers(0, 4), st.integers(0, 4)),
    ),
    max_size=20,
)


@given(MOVES)
def test_rows_move_as_in_a_plain_list(moves: list[tuple[str, int, int]]) -> None:
    slots, plain = Slots[SequenceLog](), dict[int, SequenceLog]()
    for name, a, b in moves:
        if name == "add":
            plain[a] = SequenceLog(PROGRAM, PROMPT, seed=b)
            slots.add(a, plain[a])
        elif name == "drop":
            plain.pop(a, None)
            slots.drop(a)
        elif name == "move" and a != b:
            source = plain.pop(a, None)
            plain.pop(b, None)
            plain |= {} if source is None else {b: source}
            slots.move(a, b)
        elif name == "swap":
            one, other = plain.pop(a, None), plain.pop(b, None)
            plain |= ({} if one is None else {b: one}) | ({} if other is None else {a: other})
            slots.swap(a, b)
        assert slots.items() == sorted(plain.items())
        assert all(slots.get(row) is plain.get(row) for row in range(5))


def test_reorder_forks_a_row_that_two_take() -> None:
    first, second = fresh([0]), fresh([1])
    slots = Slots([first, second])
    slots.reorder([1, 1, 0])
    assert slots[0] is second
    assert slots[1] is not second
    assert slots[1].tokens == [1]
    assert slots[2] is first


def test_evidence_is_of_one_prefix() -> None:
    """Beams: what was kept of a row must not be asked about another row that later stands at the same place."""
    log, a, wait = SequenceLog(PROGRAM, PROMPT), VOCABULARY.encode("a")[0], VOCABULARY.encode("Wait")[0]
    asked = list[int]()

    def other_prefix(_edit: Edit, _token: int, at: int) -> int:
        asked.append(at)
        return VOCABULARY.encode("</t>")[0]

    for _ in range(6):
        log.record_row(other_prefix)
        log.advance(a)
    seven = VOCABULARY.encode("7")[0]
    log.sync((a, seven, seven, seven, wait))
    assert asked == []
    assert log.receipt().waits == 0


def test_a_later_look_at_the_same_place_replaces_its_numbers() -> None:
    """vLLM shows the rows of a prompt that it reads in parts, and throws their tokens away: numbers counted twice."""
    program = compile_program((ConfidenceExit("probability", 0.9, separators=("\n",)),), VOCABULARY, MARKERS[0])
    often, once = SequenceLog(program, VOCABULARY.encode("Q<t>")), SequenceLog(program, VOCABULARY.encode("Q<t>"))
    [need] = often.wants
    for number in (0.1, 0.2, 0.95):
        assert often.pending_statistics == {need}
        often.receive({need: number})
    once.receive({need: 0.95})
    assert often.state == once.state
    for log in (often, once):
        log.advance(VOCABULARY.encode("a")[0])
        assert log.pending_statistics == log.wants == {need}
    assert often.state == once.state
