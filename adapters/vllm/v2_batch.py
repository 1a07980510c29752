"""vLLM's Model Runner V2: the tokens and the states of the sequences are kept on the device.

A slot belongs to one request until another request gets it. Just before the rows of a slot are sampled, its state
advances to its current tokens, from the decision stored for the row that its newest token was drawn from; this may
happen any number of times per token. A request with draft tokens has one more row for each of them, decided as if the
drafts before it were accepted.

Nothing is copied to the host between the steps of a sequence. Only its prompt is, once, when the request starts; that
copy waits for the device.
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
from thinkpace.adapters.vllm.params import ENDED
from thinkpace.adapters.vllm.served_model import ServedModel
from thinkpace.adapters.vllm.terms import WireRequest
from thinkpace.adapters.vllm.v2_group import Group, PendingRequest, SlotStates, Tokens, certain, last_id
from thinkpace.errors import UnsupportedControl

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState

_PARKED = 256  # saved states of sequences that lost their slot; a preempted one may come back
_GROUPS = 64  # cached groups of requests with the same controls, with their tables
_NOBODY, _REFUSED = -1, -2  # in place of a group: no controls; controls that cannot work
_log = logging.getLogger("thinkpace")


@dataclass(frozen=True, slots=True, eq=False)
class _Parked:
    """The state of a slot, saved when another request got the slot."""

    group: int  #: number of the group that the slot belonged to
    held: SlotStates  #: the state of the slot


class DeviceBatch:
    """The slots of Model Runner V2.

    Args:
        model: the served model.
        states: the runner's state of its slots.
        drafts: maximum number of draft tokens per step of a request.
    """

    def __init__(self, model: ServedModel, states: LogitsProcRequestState, drafts: int) -> None:
        self._model, self._states, self._drafts = model, states, drafts
        self._writer = ScoreWriter(model.vocabulary.size, 1.0, model.vocabulary.unused, beams=False)
        self._groups: dict[int, tuple[WireRequest, Group]] = {}
        self._made = 0  # groups created so far; a number is never reused
        self._group_of = np.full(states.max_num_reqs, _NOBODY)
        self._coming: dict[int, PendingRequest] = {}
        self._parked: deque[_Parked] = deque(maxlen=_PARKED)
        self._unsupported: dict[WireRequest, UnsupportedControl] = {}  # cached: a failed compilation may take seconds

    def add(self, slot: int, terms: WireRequest | None, params: SamplingParams, temperature: float) -> bool:
        """Assign a slot to a request, whichever request had it before.

        Returns:
            Whether the request has controls.

        Raises:
            Exception: if the controls cannot work; the caller must then call `refuse`.
        """
        before = int(self._group_of[slot])
        if before >= 0 and self._coming.pop(slot, None) is None:
            self._parked.append(_Parked(before, self._groups[before][1].snapshot(slot)))  # it may have been preempted
        self._group_of[slot] = _NOBODY
        if terms is None:
            return False
        what = WireRequest(terms.controls, terms.markers)
        program = self._model.program(what, params.max_tokens)  # raises if its own limit leaves no room
        self._model.check_structured_outputs(params, terms.controls, program)
        group = self._group(what)
        given = terms.seed if terms.seed is not None else params.seed
        seed = secrets.randbits(63) if given is None else given % (1 << 63)
        self._coming[slot] = PendingRequest(group, params.max_tokens, seed, temperature, given is not None)
        self._group_of[slot] = group
        return True

    def refuse(self, slot: int, error: Exception) -> None:
        """End the request in a slot, because its controls cannot work."""
        _log.error(ENDED, error)
        self._coming.pop(slot, None)
        self._group_of[slot] = _REFUSED

    def _group(self, terms: WireRequest) -> int:
        for number, (cached, _) in self._groups.items():
            if cached == terms:
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
        """Start the sequences of new requests, whose tokens are on the device now."""
        coming_in, self._coming = self._coming, {}
        for slot, coming in coming_in.items():
            try:
                self._begin(slot, coming)
            except Exception as error:  # noqa: BLE001  # one request must not end the engine and all others
                self.refuse(slot, error)

    def _begin(self, slot: int, coming: PendingRequest) -> None:
        length, prompt = int(self._states.prefill_len.np[slot]), int(self._states.prompt_len.np[slot])
        tokens = self._states.all_token_ids.gpu[slot, :length].tolist()
        group = self._groups[coming.group][1]
        if length > prompt:  # resumed after preemption, perhaps in another slot: identified by its tokens
            parked = [saved.held for saved in self._parked if saved.group == coming.group]
            back = group.find_match(coming, tokens, prompt, parked)
            if back is not None:
                group.restore(slot, back)
                return
        group.start(slot, tokens, prompt, coming.max_new, coming.seed, coming.temperature)

    def apply(self, logits: torch.Tensor, context: LogitsContext) -> None:
        """Edit the rows of all slots that have controls.

        Args:
            logits: Float[rows, vocabulary], changed in place.
            context: maps the rows to slots.
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
            [members] = np.nonzero(groups == number)
            these = torch.as_tensor(slots[members].astype(np.int64)).to(device, non_blocking=True)
            if table is None:
                here = torch.as_tensor(members).to(device, non_blocking=True)
                places = [(here, torch.ones_like(here, dtype=torch.bool))]
            else:
                rows = table[these]
                # a slot without a row for some draft points to the row of its newest token, and is masked out
                places = [(torch.where(column >= 0, column, rows[:, 0]), column >= 0) for column in rows.unbind(1)]
            if number != _REFUSED:
                try:
                    self._groups[int(number)][1].apply(logits, these, places, tokens, self._writer)
                    continue
                except Exception as error:  # noqa: BLE001  # some requests must not end the engine and all others
                    for slot in slots[members].tolist():
                        self.refuse(slot, error)
            self._end(logits, places)

    def _rows_of(self, context: LogitsContext, count: int) -> torch.Tensor:
        """Long[slots, drafts + 1]: the row of every slot's newest token and of each draft; -1 where there is none."""
        device = context.expanded_idx_mapping.device
        table = torch.full((self._states.max_num_reqs, self._drafts + 1), -1, device=device)
        table[context.expanded_idx_mapping.long(), context.expanded_local_pos.long()] = torch.arange(
            count, device=device
        )
        return table

    def _end(self, logits: torch.Tensor, places: Sequence[tuple[Ids, Mask]]) -> None:
        hottest = torch.full((1,), 1e6, device=logits.device)  # enough for any temperature
        for at, _ in places:
            logits[at, last_id(self._model)] = certain(hottest, logits.dtype)
