"""`StructuredAnswer` on the device: the automaton as a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from thinkpace.adapters.device.columns import Columns, Ids, build, from_host, where
from thinkpace.adapters.device.machine import Decisions, DeviceMachine, EditStep, Tables, decisions
from thinkpace.adapters.device.tables import ByToken, Masks, alike, per_token
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.controls.structured_answer import StructuredAnswerMachine, StructuredAnswerState
from thinkpace.processors.text.automaton import START
from thinkpace.types import Phase

_MOST = 1 << 24  # maximum table size in cells; building takes about 0.2 s per million


class DeviceStructuredAnswer(DeviceMachine):
    """Restricts answers to a pattern. Automaton nodes are renumbered from 0, as indices of the table.

    Args:
        structure: the host's.
        tables: of the program.

    Raises:
        UnsupportedControl: if the automaton is too large for a table.
    """

    def __init__(self, structure: StructuredAnswerMachine, tables: Tables) -> None:
        size, automaton = tables.vocabulary.size, structure.automaton
        first = automaton.first
        self._place, nodes, steps = {first: 0}, [first], list[NDArray[np.int32]]()
        for node in nodes:  # the list grows during iteration
            ids, after = automaton.following(node)
            reached, which = np.unique(after, return_inverse=True)
            for one in reached.tolist():
                if one not in self._place:
                    self._place[one] = len(nodes)
                    nodes.append(one)
            row = np.full(tables.size, -1, dtype=np.int32)
            row[ids] = np.array([self._place[one] for one in reached.tolist()], dtype=np.int32)[which]
            steps.append(row)
            if len(nodes) * size > _MOST:
                raise UnsupportedControl(
                    "the automaton of this answer has too many states for a table on the device: simplify the pattern, "
                    "or start vLLM with VLLM_USE_V2_MODEL_RUNNER=0"
                )
        classes, columns = alike(np.array(steps))
        self._step = ByToken(classes, columns, tables.device)
        self._first = self._place[first]
        self._is_eos = per_token(dict.fromkeys(structure.eos, 1), tables.size, tables.device, torch.bool)
        # tokens that steps, the end and the opening marker tell apart: first row steps, second eos, then by cursor
        cursors = range(len(structure.opens))
        told = np.zeros((2 + len(cursors), size), dtype=np.int64)
        told[0] = classes[:size]
        told[1, [token for token in structure.eos if token < size]] = 1
        for cursor in cursors:
            told[2 + cursor, sorted(structure.opens.advances(cursor))] = 1
        kinds, (step, is_eos, *advances) = alike(told)
        # allowed tokens by node and cursor of the opening marker, each with one more index for none; row 0 is ignored
        self._openings = len(cursors) + 1
        self._nowhere = len(columns)
        allowed = np.zeros((len(columns) + 1, self._openings, len(step)), dtype=np.bool_)
        allowed[:-1] = ((columns[:, step] >= 0) & (is_eos == 0))[:, None]
        for node, at in self._place.items():
            if automaton.final(node) or not allowed[at].any():
                allowed[at] |= is_eos == 1
        for cursor, advancing in enumerate(advances):
            allowed[:, cursor] |= advancing == 1
        free = np.zeros(allowed.shape[:2], dtype=bool)
        free[self._nowhere, [START, -1]] = True
        self._free = torch.as_tensor(free.reshape(-1), device=tables.device)
        self._allowed = Masks(kinds, np.concatenate((allowed[:1, 0], allowed.reshape(-1, len(step)))), tables.device)

    def columns(self, states: Sequence[StructuredAnswerState], device: torch.device) -> Columns:
        return from_host(
            [StructuredAnswerState(self._place.get(state.node, -1), state.said) for state in states], device
        )

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        answers = (before.phase == Phase.ANSWER) & (after.phase == Phase.ANSWER)
        stays = (drawn < 0) | self._is_eos[token] | (state.node < 0)
        started = torch.ones_like(stays)
        on = build(StructuredAnswerState, self._step(state.node.clamp(min=0), token), started)
        anew = build(StructuredAnswerState, torch.full_like(token, self._first), ~started)
        return where(answers, where(stays, state, on), anew)

    def decide(self, state: Columns, track: Columns) -> Decisions:
        answers = track.phase == Phase.ANSWER
        cursor = torch.where(answers, track.cursor, START)
        none = (track.opened > 0) | (state.said & (cursor == START))
        opening = torch.where(none, self._openings - 1, cursor)
        node = torch.where(state.node < 0, self._nowhere, state.node)
        at = node * self._openings + opening
        return decisions(track, EditStep("only", self._allowed, torch.where(answers & ~self._free[at], at + 1, 0)))
