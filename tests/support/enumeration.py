"""All outputs of a program with their probabilities, on a vocabulary of six ids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from thinkpace import Markers
from thinkpace.adapters.logits.attribution import redraw_probability
from thinkpace.adapters.logits.randomness import probabilities
from thinkpace.adapters.logits.reference import edited, merged_logit
from thinkpace.adapters.logits.torch_writer import ScoreWriter
from thinkpace.adapters.scripted import WordVocabulary
from thinkpace.processors import Edit, Program, State
from thinkpace.processors.core.decisions import TakeBack
from thinkpace.processors.core.replay import DrawHistory, replay

VOCABULARY = WordVocabulary(("<think>", "</think>", "Wait", "a", "so", "<eos>"))
OPEN, CLOSE, WAIT, A, SO, EOS = range(6)
MARKERS = Markers("<think>", "</think>")
Write = Callable[[np.ndarray, Edit, float], np.ndarray]
Output = tuple[int, ...]
TakenBack = dict[int, tuple[TakeBack, ...]]


def logits(tokens: Sequence[int]) -> np.ndarray:
    """Made-up logits that depend on the last two tokens and the length; no token is far from the others."""
    rng = np.random.default_rng([len(tokens), *tokens[-2:]])
    row = rng.normal(scale=1.2, size=VOCABULARY.size)
    row[OPEN] = -np.inf  # keeps the tree small
    return row


def torch_write(row: np.ndarray, edit: Edit, temperature: float) -> np.ndarray:
    scores = torch.from_numpy(row[None].copy())
    ScoreWriter(VOCABULARY.size, temperature).write(scores, [(0, edit)])
    return scores[0].numpy()


@dataclass
class Walk:
    """All outputs of a program, by probability; a moved or redrawn token is followed for each of its origins."""

    program: Program
    temperature: float
    limit: int
    write: Write = edited

    def outputs(
        self, prompt: Sequence[int], begun: Sequence[int] = (), history: DrawHistory | None = None
    ) -> dict[Output, float]:
        """Outputs that begin with `begun`, given that they do."""
        found: dict[Output, float] = defaultdict(float)
        for tokens, _, probability in self.paths(prompt, begun, history):
            found[tokens] += probability
        return found

    def paths(
        self, prompt: Sequence[int], begun: Sequence[int] = (), history: DrawHistory | None = None
    ) -> Iterator[tuple[Output, dict[int, int], float]]:
        """The same, with what was drawn where another id came."""
        history = history or DrawHistory()
        start = replay(self.program, prompt, begun, history)
        pending: list[tuple[State, Output, dict[int, int], TakenBack, float]] = [
            (start, tuple(begun), dict(history.drawn), dict(history.taken_back), 1.0)
        ]
        while pending:
            state, tokens, drawn, back, probability = pending.pop()
            if state.track.ended or len(tokens) == self.limit:
                yield tokens, drawn, probability
                continue
            row = logits([*prompt, *tokens])
            shares = probabilities(self.write(row, state.edit, self.temperature), self.temperature)
            for token in np.flatnonzero(shares).tolist():
                for attribute_draw, share in self.origins(row, state.edit, token).items():
                    if share:
                        after = self.program.step(state, token, attribute_draw)
                        known = drawn if attribute_draw == token else drawn | {len(tokens): attribute_draw}
                        output, taken = (*tokens, token), back
                        if (marker := after.take_back) is not None:
                            output = output[: -len(marker.ids)]
                            taken = back | {len(output): (*back.get(len(output), ()), marker)}
                            known = {at: i for at, i in known.items() if at < len(output)}
                            after = replay(self.program, prompt, output, DrawHistory(known, taken_back=taken))
                        pending.append((after, output, known, taken, probability * shares[token] * share))

    def origins(self, row: np.ndarray, edit: Edit, token: int) -> dict[int, float]:
        if edit.redraw:
            share = redraw_probability(row, edit, self.temperature)
            return {min(edit.redraw): share, token: 1 - share}
        sources = edit.moved_onto.get(token)
        if sources is None:
            return {token: 1.0}
        weights = [merged_logit(np.array([row[i] + b]), self.temperature) for i, b in sources]
        shares = probabilities(np.array(weights), self.temperature)
        return {source: float(share) for (source, _), share in zip(sources, shares, strict=True)}
