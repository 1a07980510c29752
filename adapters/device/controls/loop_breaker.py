"""`LoopBreaker` on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from thinkpace.adapters.device.columns import Columns, Ids, Mask, from_host, where
from thinkpace.adapters.device.machine import Decisions, DeviceMachine, Tables, decisions
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.controls.loop_breaker import STRIDE, LoopBreakerMachine, LoopBreakerState
from thinkpace.types import Phase

_MOST = 1 << 18  # maximum number of (period, position) comparisons per row


class LoopBreakerColumns(NamedTuple):
    """`LoopBreakerState`, with a tail of full width: Long[rows, window], the last token last."""

    tail: torch.Tensor
    seen: torch.Tensor
    looping: torch.Tensor


class DeviceLoopBreaker(DeviceMachine):
    """Closes thinking in a loop.

    Args:
        loops: the host's.
        tables: of the program.

    Raises:
        UnsupportedControl: if its window and periods are too large.
    """

    def __init__(self, loops: LoopBreakerMachine, tables: Tables) -> None:
        control = loops.control
        self._window = loops.window
        if control.max_period * loops.window > _MOST:
            raise UnsupportedControl(
                f"{control!r} looks over more than a device has room for in every step: lower max_period, repeats or "
                "min_tokens, or start vLLM with VLLM_USE_V2_MODEL_RUNNER=0"
            )
        lengths = torch.arange(1, control.max_period + 1, device=tables.device)
        covered = lengths * torch.maximum(torch.tensor(control.repeats), -(-control.min_tokens // lengths))
        self._lengths, self._covered = lengths, covered
        ago = torch.arange(loops.window, device=tables.device)  # 0 is the newest
        # per period: which tokens must equal the one a period earlier, and the index of that one
        self._counts = ago < (covered - lengths).unsqueeze(1)
        self._earlier = (loops.window - 1 - ago - lengths.unsqueeze(1)).clamp(min=0)

    def columns(self, states: Sequence[LoopBreakerState], device: torch.device) -> Columns:
        tails = torch.zeros(len(states), self._window, dtype=torch.long)
        for row, state in enumerate(states):
            if state.tail:
                tails[row, -len(state.tail) :] = torch.tensor(state.tail)
        return LoopBreakerColumns(
            tails.to(device), *from_host([(state.seen, state.looping) for state in states], device)
        )

    def observe(self, state: Columns, before: Columns, after: Columns, token: Ids, drawn: Ids) -> Columns:
        inside = (after.phase == Phase.THINKING) & (before.phase == Phase.THINKING)
        tail = torch.cat((state.tail[:, 1:], token.unsqueeze(1)), 1)
        seen = state.seen + 1
        looping = torch.where(seen % STRIDE == 0, self._loops(tail, seen), state.looping)
        nothing = LoopBreakerColumns(torch.zeros_like(tail), torch.zeros_like(seen), torch.zeros_like(looping))
        return where(inside, LoopBreakerColumns(tail, seen, looping), nothing)

    def _loops(self, tail: torch.Tensor, seen: Ids) -> Mask:
        newest_first = tail.flip(1).unsqueeze(1)
        same = newest_first == tail[:, self._earlier]  # [rows, lengths, window]
        held = seen.clamp(max=self._window).unsqueeze(1)
        matches = (same | ~self._counts).all(2) & (self._covered <= held) & (self._lengths < held)
        return matches.any(1)

    def decide(self, state: Columns, track: Columns) -> Decisions:
        return decisions(track, close=state.looping & (track.phase == Phase.THINKING))
