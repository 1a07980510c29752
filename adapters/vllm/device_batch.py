"""vLLM's Model Runner V2: tokens live on the device, and the states of the sequences with them.

A slot belongs to one request until it is given to another. The state of a slot is brought to its tokens when its rows
are about to be sampled, however often that happens: from what was decided of the row that its newest token came from.
A request with drafts has a row for each of them, decided about as if the drafts before it had come.

Between the steps of a sequence nothing is copied to the host. Its prompt is, when it comes: that waits for the device.
"""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from thinkpace.adapters.device.columns import Ids, Mask
from thinkpace.adapters.logits.torch_writer import ScoreWriter
from thinkpace.adapters.vllm.device_group import Group, PendingRequest, SlotStates, Tokens, certain, last_id
from thinkpace.adapters.vllm.params import ENDED
from thinkpace.adapters.vllm.served_model import ServedModel
from thinkpace.adapters.vllm.terms import WireRequest
from thinkpace.errors import UnsupportedControl

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState

_PARKED = 256  # sequences that left their slot and may come back
_GROUPS = 64  # of requests with the same controls, whose tables are kept
_NOBODY, _REFUSED = -1, -2
_log = logging.getLogger("thinkpace")


@dataclass(frozen=True, slots=True, eq=False)
class _Parked:
    """What was kept of a slot that another request was given. Args: group: that it belonged to. held: all of it."""

    group: int
    held: SlotStates


class DeviceBatch:
    """The slots of a runner.

    Args:
        model: that is served.
        states: what the runner shares of its slots.
        drafts: at most, per step of a request.
    """

    def __init__(self, model: ServedModel, states: LogitsProcRequestState, drafts: int) -> None:
        self._model, self._states, self._drafts = model, states, drafts
        self._writer = ScoreWriter(model.vocabulary.size, 1.0, model.vocabulary.unused, beams=False)
        self._groups: dict[int, tuple[WireRequest, Group]] = {}
        self._made = 0  # groups so far: their numbers are never used again
        self._group_of = np.full(states.max_num_reqs, _NOBODY)
        self._coming: dict[int, PendingRequest] = {}
        self._parked: deque[_Parked] = deque(maxlen=_PARKED)
        self._unsupported: dict[WireRequest, UnsupportedControl] = {}  # found out once: it may take seconds

    def add(self, slot: int, terms: WireRequest | None, params: SamplingParams, temperature: float) -> bool:
        """A request gets a slot, whoever had it before.

        Returns:
            Whether it has controls.

        Raises:
            Exception: if these cannot work; then `refuse` it.
        """
        before = int(self._group_of[slot])
        if before >= 0 and self._coming.pop(slot, None) is None:
            self._parked.append(_Parked(before, self._groups[before][1].snapshot(slot)))  # it may have been preempted
        self._group_of[slot] = _NOBODY
        if terms is None:
            return False
        what = WireRequest(terms.controls, terms.markers)
        self._model.program(what, params.max_tokens)  # whether its own limit leaves room
        group = self._group(what)
        given = terms.seed if terms.seed is not None else params.seed
        seed = secrets.randbits(63) if given is None else given % (1 << 63)
        self._coming[slot] = PendingRequest(group, params.max_tokens, seed, temperature, given is not None)
        self._group_of[slot] = group
        return True

    def refuse(self, slot: int, error: Exception) -> None:
        """End the request of a slot, whose controls cannot work."""
        _log.error(ENDED, error)
        self._coming.pop(slot, None)
        self._group_of[slot] = _REFUSED

    def _group(self, terms: WireRequest) -> int:
        for number, (known, _) in self._groups.items():
            if known == terms:
                return number
        if len(self._groups) >= _GROUPS:
            used = {*self._group_of.tolist(), *(parked.group for parked in self._parked)}
            self._groups = {number: group for number, group in self._groups.items() if number in used}
        if terms in self._unsupported:
            raise self._unsupported[terms]
        program = self._model.program(terms, None)
        try:
            group = Group(program, self._model, self._states.max_num_reqs, self._drafts, self._states.device)
        except UnsupportedControl as error:
            if len(self._unsupported) < _GROUPS:
                self._unsupported[terms] = error
            raise
        self._made += 1
        self._groups[self._made] = terms, group
        return self._made

    def flush(self) -> None:
        """The tokens of new requests are on the device now: read them."""
        coming_in, self._coming = self._coming, {}
        for slot, coming in coming_in.items():
            try:
                self._begin(slot, coming)
            except Exception as error:  # noqa: BLE001  # one request must not end the engine, and so all others
                self.refuse(slot, error)

    def _begin(self, slot: int, coming: PendingRequest) -> None:
        length, prompt = int(self._states.prefill_len.np[slot]), int(self._states.prompt_len.np[slot])
        tokens = self._states.all_token_ids.gpu[slot, :length].tolist()
        group = self._groups[coming.group][1]
        if length > prompt:  # preempted, and back, perhaps in another slot: told by its tokens
            parked = [one for one in self._parked if one.group == coming.group]
            back = group.find_match(coming, tokens, prompt, [one.held for one in parked])
            if back is not None:
                group.restore(slot, back)
                return
        group.start(slot, tokens, prompt, coming.max_new, coming.seed, coming.temperature)

    def apply(self, logits: torch.Tensor, context: LogitsContext) -> None:
        """Edit the rows of all slots that have controls.

        Args:
            logits: Float[rows, vocabulary], changed in place.
            context: which rows these are.
        """
        slots: NDArray[np.integer] = context.idx_mapping_np
        groups = self._group_of[slots]
        if (groups == _NOBODY).all():
            return
        device = logits.device
        several = len(logits) != len(slots)
        table = self._rows_of(context, len(logits)) if several else None
        states = self._states
        tokens = Tokens(states.all_token_ids.gpu, states.total_len.gpu, context.input_ids)
        for number in np.unique(groups):
            if number == _NOBODY:
                continue
            [own] = np.nonzero(groups == number)
            these = torch.as_tensor(slots[own].astype(np.int64)).to(device, non_blocking=True)
            if table is None:
                here = torch.as_tensor(own).to(device, non_blocking=True)
                places = [(here, torch.ones_like(here, dtype=torch.bool))]
            else:
                found = table[these]
                # where there is no row, that of the newest token stands in, and is left alone
                places = [(torch.where(column >= 0, column, found[:, 0]), column >= 0) for column in found.unbind(1)]
            if number != _REFUSED:
                try:
                    self._groups[int(number)][1].apply(logits, these, places, tokens, self._writer)
                    continue
                except Exception as error:  # noqa: BLE001  # some requests must not end the engine, and so all others
                    for slot in slots[own].tolist():
                        self.refuse(slot, error)
            self._end(logits, places)

    def _rows_of(self, context: LogitsContext, count: int) -> torch.Tensor:
        """[slots, drafts + 1]: the row of every slot's newest token and of each draft; -1 for none."""
        device = context.expanded_idx_mapping.device
        table = torch.full((self._states.max_num_reqs, self._drafts + 1), -1, device=device)
        table[context.expanded_idx_mapping.long(), context.expanded_local_pos.long()] = torch.arange(
            count, device=device
        )
        return table

    def _end(self, logits: torch.Tensor, places: Sequence[tuple[Ids, Mask]]) -> None:
        hottest = torch.full((1,), 1e6, device=logits.device)  # whatever the temperature is
        for at, _ in places:
            logits[at, last_id(self._model)] = certain(hottest, logits.dtype)
