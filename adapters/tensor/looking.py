"""`LoopBreaker` and `ConfidenceExit` on the device: the machines that look at what has been thought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from thinkpace.adapters.tensor.columns import Columns, Ids, Mask, made, of_host, where, with_
from thinkpace.adapters.tensor.tables import bounded
from thinkpace.adapters.tensor.wish import Book, Known, Machine, Wish, wish
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.base import Kind
from thinkpace.processors.confidence import Confidence, SureState
from thinkpace.processors.loops import STRIDE, Loops, LoopState
from thinkpace.types import Phase

_MOST = 1 << 18  # pairs of a length and a place that are compared, per row


class LoopColumns(NamedTuple):
    """`LoopState`, its tail as wide as it can be: Long[rows, window], the last token last."""

    tail: torch.Tensor
    seen: torch.Tensor
    looping: torch.Tensor


class TensorLoops(Machine):
    """Finds loops.

    Args:
        loops: the host's.
        book: of the program.

    Raises:
        UnsupportedControl: if it looks over too much.
    """

    def __init__(self, loops: Loops, book: Book) -> None:
        control = loops.control
        self._window = loops.window
        if control.max_period * loops.window > _MOST:
            raise UnsupportedControl(
                f"{control!r} looks over more than a device has room for in every step: lower max_period, repeats or "
                "min_tokens, or start vLLM with VLLM_USE_V2_MODEL_RUNNER=0"
            )
        lengths = torch.arange(1, control.max_period + 1, device=book.device)
        covered = lengths * torch.maximum(torch.tensor(control.repeats), -(-control.min_tokens // lengths))
        self._lengths, self._covered = lengths, covered
        ago = torch.arange(loops.window, device=book.device)  # 0 is the newest
        # of every length: which tokens must equal the one a length earlier, and where that one is
        self._counts = ago < (covered - lengths).unsqueeze(1)
        self._earlier = (loops.window - 1 - ago - lengths.unsqueeze(1)).clamp(min=0)

    def columns(self, states: Sequence[LoopState], device: torch.device) -> Columns:
        tails = torch.zeros(len(states), self._window, dtype=torch.long)
        for row, state in enumerate(states):
            if state.tail:
                tails[row, -len(state.tail) :] = torch.tensor(state.tail)
        return LoopColumns(tails.to(device), *of_host([(state.seen, state.looping) for state in states], device))

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        inside = (after.phase == Phase.THINKING) & (before.phase == Phase.THINKING)
        tail = torch.cat((state.tail[:, 1:], token.unsqueeze(1)), 1)
        seen = state.seen + 1
        looping = torch.where(seen % STRIDE == 0, self._loops(tail, seen), state.looping)
        nothing = LoopColumns(torch.zeros_like(tail), torch.zeros_like(seen), torch.zeros_like(looping))
        return where(inside, LoopColumns(tail, seen, looping), nothing)

    def _loops(self, tail: torch.Tensor, seen: Ids) -> Mask:
        newest_first = tail.flip(1).unsqueeze(1)
        same = newest_first == tail[:, self._earlier]  # [rows, lengths, window]
        held = seen.clamp(max=self._window).unsqueeze(1)
        found = (same | ~self._counts).all(2) & (self._covered <= held) & (self._lengths < held)
        return found.any(1)

    def decide(self, state: Columns, track: Columns) -> Wish:
        return wish(track, close=state.looping & (track.phase == Phase.THINKING))


class TensorConfidence(Machine):
    """Closes when the model is sure.

    Args:
        confidence: the host's; its rule needs no trial.
        book: of the program.
    """

    def __init__(self, confidence: Confidence, book: Book) -> None:
        self._control = confidence.control
        self._every, self._least, self._threshold = confidence.every, bounded(confidence.least), confidence.threshold
        self._table = book.phrases(confidence.separators)
        self._kind = confidence.kind

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        inside = after.phase == Phase.THINKING
        opens = inside & (before.phase != Phase.THINKING)
        cursor = self._table.step(state.cursor, token)
        looking = self._table.found(state.cursor, token)
        never = torch.zeros_like(inside)
        begun = made(SureState, *(torch.full_like(old, new) for old, new in zip(state, SureState(), strict=True)))
        on = state._replace(cursor=cursor, looking=looking, sure=never)
        if self._every:
            looks = state.looks + 1
            sure = (state.seen > 0) & (state.mean >= self._threshold) & (looks >= self._least)
            on = where(looking, begun._replace(cursor=cursor, looking=looking, looks=looks, sure=sure), on)
        return where(opens, begun._replace(looks=state.looks), where(inside, on, state))

    def wants(self, state: Columns, track: Columns) -> Mapping[Kind, Mask]:
        thinks = (track.phase == Phase.THINKING) & ~state.sure
        return {self._kind: thinks if self._every else thinks & state.looking}

    def inform(self, state: Columns, track: Columns, known: Known) -> Columns:
        number, there = known[self._kind]
        told = there & (track.phase == Phase.THINKING)
        if self._every:
            seen = state.seen + 1
            return with_(state, told, seen=seen, mean=state.mean + (number - state.mean) / seen)
        looks = state.looks + 1
        mean, spread = state.mean, state.spread
        if self._control.rule == "entropy":
            first, weight = looks == 1, self._control.decay
            mean = torch.where(first, number, weight * number + (1 - weight) * mean)
            spread = torch.where(first, torch.zeros_like(mean), weight * (number - mean) ** 2 + (1 - weight) * spread)
            sure = spread < self._threshold
        else:
            sure = number < self._threshold
        looked = made(
            SureState,
            state.cursor,
            torch.zeros_like(sure),
            looks,
            mean,
            spread,
            state.seen,
            sure & (looks >= self._least),
        )
        return where(told & state.looking, looked, state)

    def decide(self, state: Columns, track: Columns) -> Wish:
        return wish(track, close=state.sure & (track.phase == Phase.THINKING))
