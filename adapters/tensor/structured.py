"""`StructuredAnswer` on the device: the automaton as a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from thinkpace.adapters.tensor.columns import Columns, Ids, made, of_host, where
from thinkpace.adapters.tensor.tables import ByToken, Masks, alike, per_token
from thinkpace.adapters.tensor.wish import Book, Machine, Wish, Write, wish
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.match import START
from thinkpace.processors.structured import AnswerState, Structure
from thinkpace.types import Phase

_MOST = 1 << 27  # cells of a table while it is made


class TensorStructure(Machine):
    """Allows what a pattern does. Nodes are numbered from 0, as the table has them.

    Args:
        structure: the host's.
        book: of the program.

    Raises:
        UnsupportedControl: if the automaton is too large for a table.
    """

    def __init__(self, structure: Structure, book: Book) -> None:
        size = book.vocabulary.size
        transitions = structure.automaton.get_transitions()
        first = structure.automaton.get_initial_state()
        nodes = sorted({first, *transitions, *(node for steps in transitions.values() for node in steps.values())})
        if len(nodes) * size > _MOST:
            raise UnsupportedControl(
                f"the automaton of this answer has {len(nodes)} states, too many for a table on the device: simplify "
                "the pattern, or start vLLM with VLLM_USE_V2_MODEL_RUNNER=0"
            )
        self._place = {node: at for at, node in enumerate(nodes)}
        steps = np.full((len(nodes), size), -1, dtype=np.int32)
        for node, onwards in transitions.items():
            tokens = [token for token in onwards if token < size]
            steps[self._place[node], tokens] = [self._place[onwards[token]] for token in tokens]
        self._step = ByToken(*alike(steps), book.device)
        self._first = self._place[first]
        self._is_eos = per_token(dict.fromkeys(structure.eos, 1), size, book.device, torch.bool)
        # by node and cursor of the opening marker, one more of each for none; row 0 is for rows left alone
        self._openings = len(structure.opens) + 1
        self._nowhere = len(nodes)
        rows = [
            structure.allowed(node, opening) if node >= 0 or opening > START else None
            for node in (*nodes, -1)
            for opening in (*range(len(structure.opens)), -1)
        ]
        self._free = torch.tensor([allowed is None for allowed in rows], device=book.device)
        self._allowed = Masks([frozenset(), *(allowed or frozenset() for allowed in rows)], size, book.device)

    def columns(self, states: Sequence[AnswerState], device: torch.device) -> Columns:
        return of_host([AnswerState(self._place.get(state.node, -1), state.said) for state in states], device)

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        answers = (before.phase == Phase.ANSWER) & (after.phase == Phase.ANSWER)
        stays = (drawn < 0) | self._is_eos[token] | (state.node < 0)
        said = torch.ones_like(stays)
        on = made(AnswerState, self._step(state.node.clamp(min=0), token), said)
        anew = made(AnswerState, torch.full_like(token, self._first), ~said)
        return where(answers, where(stays, state, on), anew)

    def decide(self, state: Columns, track: Columns) -> Wish:
        answers = track.phase == Phase.ANSWER
        cursor = torch.where(answers, track.cursor, START)
        none = (track.opened > 0) | (state.said & (cursor == START))
        opening = torch.where(none, self._openings - 1, cursor)
        node = torch.where(state.node < 0, self._nowhere, state.node)
        at = node * self._openings + opening
        return wish(track, Write("only", self._allowed, torch.where(answers & ~self._free[at], at + 1, 0)))
