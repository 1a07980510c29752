"""Laws that hold for every control, under any tokens at all. Each raises an AssertionError where it is broken."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

from thinkpace.adapters.sequences.sequence_log import SequenceLog
from thinkpace.engine import Request
from thinkpace.processors import (
    Close,
    Control,
    DrawHistory,
    Program,
    controls_from_text,
    replay,
    token_kinds,
)
from thinkpace.processors.spec import check_kept
from thinkpace.testing.drive import Wish, run


def text_and_back(control: Control) -> None:
    """A control survives JSON, text and pickle."""
    check_kept(control)
    assert controls_from_text(repr(control)) == (control,), f"text loses {control!r}"
    assert pickle.loads(pickle.dumps(control)) == control, f"pickle loses {control!r}"
    assert hash(pickle.loads(pickle.dumps(control))) == hash(control), f"{control!r} and its copy have different hashes"
    Request((0,), (control,))  # whatever holds it must be able to


def replay_equals_stepping(program: Program, prompt: Sequence[int], wishes: Sequence[Wish]) -> None:
    """A state depends on the tokens and what was drawn along them alone, and is never changed by being stepped."""
    states, tokens, history = run(program, prompt, wishes)
    snapshots = [pickle.dumps(state) for state in states]
    for length in range(len(tokens) + 1):
        known = {at: statistics for at, statistics in history.statistics.items() if at < length}
        again = replay(program, prompt, tokens[:length], DrawHistory(history.drawn, known))
        assert again == states[length], f"after {length} tokens a replay gives {again}, stepping {states[length]}"
    assert [pickle.dumps(state) for state in states] == snapshots, "stepping has changed a state"


def idling_equals_stepping(program: Program, prompt: Sequence[int], wishes: Sequence[Wish]) -> None:
    """Tokens that `idle_tokens` and `wake_tokens` let pass change nothing that `skip` does not make up for."""
    states, tokens, history = run(program, prompt, wishes)
    log = SequenceLog(program, tuple(prompt))
    for at, token in enumerate(tokens):
        if at in history.statistics:
            assert log.wants == states[at].wants, f"at token {at} idle states want {log.wants}"
            log.receive(history.statistics[at])
        else:
            assert log.edit == states[at].edit, f"at token {at} an idle edit is {log.edit}, stepped {states[at].edit}"
        drawn = history.drawn.get(at, token)
        log.record_row(lambda _edit, _token, _at, drawn=drawn: drawn)  # type: ignore[misc]  # bound in this round
        log.advance(token)
        if (token + at) % 3 == 0:
            assert log.state == states[at + 1], f"after token {at} an idle state is {log.state}, not {states[at + 1]}"
    assert (log.state, log.tokens, log.drawn) == (states[-1], tokens, history.drawn)
    for length in (len(tokens) // 2, 0):
        log.rewind(length)
        if length not in history.statistics:
            assert log.state == states[length], f"rewound to {length} the state is {log.state}, not {states[length]}"


def declarations_hold(control: Control, program: Program, prompt: Sequence[int], wishes: Sequence[Wish]) -> None:
    """A control declares what engines prepare for: moved probability, the statistics that it asks for, closes."""
    for state in run(program, prompt, wishes)[0]:
        moves = control.moves_probability or state.edit.redirect.keys() <= program.tracker.eos
        assert moves, f"{control!r} redirects tokens: its property moves_probability must be True"
        kinds = {statistic.kind for statistic in state.wants}
        assert kinds <= control.statistics, f"{control!r} asks for {kinds}: its property statistics must hold them"
        if not state.track.ended and isinstance(program.processor.decide(state.inner, state.track), Close):
            closes = control.decides_end or len(program.armed) < len(program.processor.parts)
            assert closes, f"{control!r} decides to close thinking: its base class must be Closer, not Control"


def kinds_add_up(program: Program, prompt: Sequence[int], wishes: Sequence[Wish]) -> None:
    """The receipt counts every token once, in agreement with the kind of each; events give their reason as text."""
    states, tokens, history = run(program, prompt, wishes)
    receipt = program.receipt(states[-1], len(prompt))
    assert all(isinstance(event.why, str) for event in receipt.events), f"a reason is no text: {receipt.events}"
    usage = receipt.usage
    kinds = token_kinds(program, prompt, tokens, history)
    ended = next((i for i, state in enumerate(states) if state.track.ended), len(tokens))
    assert usage.completion == min(ended, len(tokens)), f"{usage} for {len(tokens)} tokens"
    assert usage.thinking == kinds[:ended].count("thinking"), f"{usage} for {kinds}"
    assert usage.forced == kinds[:ended].count("injected") + kinds[:ended].count("closing"), f"{usage} for {kinds}"
    assert usage.marker == kinds[:ended].count("marker"), f"{usage} for {kinds}"


def characters_are_finished(program: Program, prompt: Sequence[int], wishes: Sequence[Wish]) -> None:
    """Whatever closes thinking does so between characters."""
    for state in run(program, prompt, wishes)[0]:
        if state.script is not None and state.script.ends_thinking and state.script.forced and state.at == 0:
            assert state.track.missing == 0, f"thinking is closed inside a character: {state}"


def a_token_is_always_legal(program: Program, prompt: Sequence[int], tokens: Sequence[int]) -> None:
    """Engines may ignore what was asked (a grammar, a stop): states go on, and something can always come next."""
    state = program.start(prompt)
    for token in tokens:
        state = program.step(state, token)
        assert len(state.edit.ban | state.edit.redraw) < program.size, f"no token is left after {token}"
        assert state.edit.only is None or state.edit.only, f"no token is left after {token}"


def a_pickled_program_goes_on_alike(program: Program, prompt: Sequence[int], wishes: Sequence[Wish]) -> None:
    """Programs travel to worker processes."""
    copy = pickle.loads(pickle.dumps(program))
    assert run(copy, prompt, wishes)[0] == run(program, prompt, wishes)[0], "a pickled program gives other states"
