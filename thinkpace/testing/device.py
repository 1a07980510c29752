"""The device form of programs beside the host form: the same states, requests, phrases and edits, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from thinkpace.adapters.device.columns import where
from thinkpace.adapters.device.program import DeviceProgram
from thinkpace.adapters.device.writer import write
from thinkpace.adapters.logits.reference import edited
from thinkpace.errors import NoLegalToken
from thinkpace.processors import Control, Markers, Program, RowStatistic, State, compile_program
from thinkpace.testing.drive import STUBBORN, Wish, run, statistics_for
from thinkpace.testing.vocabulary import VOCABULARY

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Rows:
    """Controls, and what comes under them in several rows."""

    controls: tuple[Control, ...]
    markers: Markers
    prompt: list[int]
    streams: list[list[Wish]]  #: one per row
    max_new: int | None  #: output tokens of each row at most


def compiled(rows: Rows) -> tuple[Program, DeviceProgram]:
    """Both forms. The device form is of the program without the request's limit, which is a column of its own.

    Raises:
        UnsupportedControl: if a control has no device form.
        NoLegalToken: if no token is left after the prompt.
    """
    program = compile_program(rows.controls, VOCABULARY, rows.markers, max_new_tokens=rows.max_new)
    program.start(rows.prompt)
    return program, DeviceProgram(compile_program(rows.controls, VOCABULARY, rows.markers), VOCABULARY, CPU)


def check(case: Rows, program: Program, form: DeviceProgram) -> None:
    """Step both forms along the same tokens.

    Raises:
        AssertionError: where they differ.
    """
    runs = [run(program, case.prompt, wishes, stubborn=STUBBORN) for wishes in case.streams]
    limits = [case.max_new] * len(runs)
    rows = form.columns([states[0] for states, _, _ in runs], limits)
    generator = np.random.default_rng(0)
    temperature = torch.tensor([0.0, 0.7, 0.0, 2.0], dtype=torch.float64)[: len(runs)]
    for i in range(max(len(states) for states, _, _ in runs)):
        alive = torch.tensor([i < len(states) for states, _, _ in runs])
        hosts = [states[min(i, len(states) - 1)] for states, _, _ in runs]
        expected = form.columns(hosts, limits)
        rows = where(alive, rows, expected)  # of streams that are over nothing more is asked
        counts = rows.track, rows.script, rows.at
        assert _same(counts, (expected.track, expected.script, expected.at)), f"after {i} tokens: {rows}, {expected}"
        given = [h.statistics.get(i) or statistics_for(host, 1) for host, (_, _, h) in zip(hosts, runs, strict=True)]
        given = [statistics if host.wants else {} for statistics, host in zip(given, hosts, strict=True)]
        decided, forced, decisions = form.decide(rows, _on_device(form.wants(rows), given))
        scores = generator.normal(size=(len(runs), program.size))
        logits = torch.tensor(scores)
        half = torch.full((len(runs),), 0.5, dtype=torch.float64)
        write(logits, torch.arange(len(runs)), decisions.writes, temperature, [half] * (len(decisions.writes) + 1))
        states = [_informed(program, host, statistics) for host, statistics in zip(hosts, given, strict=True)]
        known = torch.tensor([state is not None for state in states])
        after = form.columns([state or host for state, host in zip(states, hosts, strict=True)], limits).inner
        # a host's state holds what its decision changed, so machines are compared after the device's
        assert _same(where(known, decided.inner, after), after), f"after {i} tokens: {decided.inner}, {after}"
        for row, state in enumerate(states):
            if state is None:
                continue
            assert int(decided.script[row]) == form.number(state), f"row {row}: other phrases at {state}"
            assert int(forced[row]) == (state.script.ids[state.at] if state.script is not None else -1)
            if state.script is None and not state.track.ended:
                row_edited = edited(scores[row], state.edit, float(temperature[row]))
                np.testing.assert_allclose(logits[row].numpy(), row_edited, atol=1e-9)
        come = [tokens[i] if i < len(tokens) else 0 for _, tokens, _ in runs]
        drawn = [h.drawn.get(i, token) for (_, _, h), token in zip(runs, come, strict=True)]
        redrew = [s is not None and d in s.edit.redraw for d, s in zip(drawn, states, strict=True)]
        rows = form.step(decided, torch.tensor(come), torch.tensor(drawn), torch.tensor(redrew))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):
        return all(_same(a, b) for a, b in zip(one, other, strict=True))
    return torch.equal(one, other.to(one.dtype)) if one.dtype != torch.float64 else torch.allclose(one, other)


def _on_device(wants: Mapping[Any, torch.Tensor], given: Sequence[Mapping[RowStatistic, float]]) -> dict[Any, Any]:
    """The statistics as a device has them; both forms want the same ones."""
    out = {}
    for kind, mask in wants.items():
        values = [next((v for want, v in statistics.items() if want.kind == kind), -1.0) for statistics in given]
        assert [value >= 0 for value in values] == mask.tolist(), f"the two forms want {kind} of other rows"
        out[kind] = torch.tensor(values, dtype=torch.float64), mask
    return out


def _informed(program: Program, state: State, statistics: Mapping[RowStatistic, float]) -> State | None:
    """The state with its statistics; None where the two leave no token."""
    try:
        return program.receive(state, statistics) if statistics else state
    except NoLegalToken:
        return None
