"""vLLM's V1 runner: the batch on the host. Controlled rows advance to their current tokens, then all edits are written.

The state of a sequence advances just before its row is sampled, from the live list of its output ids. vLLM's steps
cannot be counted instead: vLLM may discard the row of a step, or compute it again.
"""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality

from thinkpace.adapters.logits.attribution import DrawAttribution
from thinkpace.adapters.logits.to_device import to_device
from thinkpace.adapters.logits.torch_statistics import row_statistics
from thinkpace.adapters.logits.torch_writer import ScoreWriter, TorchSnapshot
from thinkpace.adapters.sequences.slots import Slots
from thinkpace.adapters.vllm.live_sequence import LiveSequence, RefusedSequence
from thinkpace.adapters.vllm.notes import Notes
from thinkpace.adapters.vllm.params import ENDED
from thinkpace.adapters.vllm.served_model import ServedModel
from thinkpace.adapters.vllm.terms import KEY, WireRequest, terms_from
from thinkpace.adapters.vllm.v2_group import last_id
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.core.edit import KEEP, force

if TYPE_CHECKING:
    from vllm import SamplingParams

_PARKED = 512  # sequences that left the batch; a preempted one may come back
_log = logging.getLogger("thinkpace")


class HostBatch:
    """The controlled rows of the V1 runner.

    Args:
        model: the served model.
        device: holds the logits.
    """

    def __init__(self, model: ServedModel, device: torch.device) -> None:
        self._model, self._device = model, device
        vocabulary = model.vocabulary
        self._writer = ScoreWriter(vocabulary.size, 1.0, vocabulary.unused, beams=False)
        self._slots: Slots[LiveSequence | RefusedSequence] = Slots()
        self._rows: list[tuple[int, LiveSequence | RefusedSequence]] = []
        self._cleared = torch.empty(0, dtype=torch.long)  # Long[rows]: the row numbers in `_rows`
        self._parked: deque[LiveSequence] = deque(maxlen=_PARKED)
        try:
            model.program(WireRequest(()), None)  # reads the whole vocabulary now, not during the first request
        except UnsupportedControl as error:
            _log.warning("%s; requests can give them as %s.markers", error, KEY)

    def update(self, batch_update: BatchUpdate) -> None:
        """Apply the batch update: rows removed, added and moved."""
        for row in batch_update.removed:
            self._leave(row)
        for row, params, prompt, output in batch_update.added:
            self._leave(row)  # a request may be added to a row before the old one is removed
            self._come(row, params, prompt, output)
        for source, target, how in batch_update.moved:
            if how is MoveDirectionality.SWAP:
                self._slots.swap(source, target)
            else:
                self._leave(target)
                self._slots.move(source, target)
        self._rows = self._slots.items()
        self._cleared = to_device(torch.tensor([row for row, _ in self._rows], dtype=torch.long), self._device)

    def _leave(self, row: int) -> None:
        sequence = self._slots.get(row)
        self._slots.drop(row)
        if isinstance(sequence, LiveSequence) and not sequence.over:
            self._parked.append(sequence)

    def _back(self, params: SamplingParams, prompt: list[int] | None, output: list[int]) -> LiveSequence | None:
        """The parked sequence of a resumed request: with its parameters, which samples may share, and its tokens."""
        for sequence in self._parked:
            earlier, all_before = sequence.tokens[len(sequence.continued) :], sequence.prompt + sequence.continued
            if sequence.params is params and all_before == tuple(prompt or ()) and output[: len(earlier)] == earlier:
                self._parked.remove(sequence)
                sequence.live = output
                return sequence
        return None

    def _come(self, row: int, params: SamplingParams, prompt: list[int] | None, output: list[int]) -> None:
        back = self._back(params, prompt, output)
        if back is not None:
            self._slots.add(row, back)
            return
        notes = None
        try:
            terms = terms_from(params.extra_args)
            if terms is None:
                return
            limit = None if params.max_tokens is None else terms.continued + params.max_tokens
            notes = Notes(terms.receipt, prompt or (), limit) if terms.receipt else None
            if prompt is None:
                raise UnsupportedControl("a prompt of embeddings has no token ids, which controls need")
            if terms.continued >= len(prompt):
                raise UnsupportedControl(
                    f"continued={terms.continued} leaves nothing of a prompt of {len(prompt)} tokens"
                )
            request_prompt, continued = (
                tuple(prompt[: len(prompt) - terms.continued]),
                tuple(prompt[len(prompt) - terms.continued :]),
            )
            program = self._model.program(WireRequest(terms.controls, terms.markers), limit)
            self._model.check_structured_outputs(params, terms.controls, program)
            seed = terms.seed if terms.seed is not None else params.seed
            seed = secrets.randbits(63) if seed is None else seed
            self._slots.add(
                row,
                LiveSequence(
                    program=program,
                    prompt=request_prompt,
                    seed=seed,
                    continued=continued,
                    live=output,
                    params=params,
                    notes=notes,
                    terms=terms,
                ),
            )
        except Exception as error:  # noqa: BLE001  # the frontend refuses what it can; raising here ends the engine
            self._refuse(row, error, notes)

    def _refuse(self, row: int, error: Exception, notes: Notes | None) -> None:
        _log.error(ENDED, error)
        if notes:
            notes.failed(str(error))
        self._slots.add(row, RefusedSequence(force(last_id(self._model))))

    def apply(self, logits: torch.Tensor) -> None:
        """Edit the controlled rows of `logits` in place: Float[rows, vocabulary]."""
        if not self._rows:
            return
        live = [(row, sequence) for row, sequence in self._rows if isinstance(sequence, LiveSequence)]
        for row, sequence in live:
            self._guarded(row, sequence, sequence.catch_up)
        self._writer.clear(logits, self._cleared)
        # requested again even if received before: the earlier row may have belonged to an unfinished prompt
        asking = {row: (sequence, asks) for row, sequence in live if (asks := sequence.pending_statistics)}
        if asking:
            statistics = row_statistics(asking, logits[:, : self._writer.size])
            for row, (sequence, _) in asking.items():
                self._guarded(row, sequence, partial(sequence.receive_noted, statistics[row]))
        edited = [
            (row, row_sequence, edit) for row, row_sequence in self._rows if (edit := row_sequence.edit) is not KEEP
        ]
        gathered = self._writer.write(
            logits,
            [(row, edit) for row, _, edit in edited],
            [row_sequence.temperature for _, row_sequence, _ in edited],
        )
        for place, (row, edited_sequence, edit) in enumerate(edited):
            if gathered is not None and isinstance(edited_sequence, LiveSequence) and (edit.moved_onto or edit.redraw):
                row_copy = TorchSnapshot(gathered, place, row)
                edited_sequence.wrote(
                    edit, DrawAttribution(row_copy, edited_sequence.temperature, edited_sequence.seed)
                )

    def _guarded(self, row: int, sequence: LiveSequence, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001  # one request must not end the engine and all others
            self._refuse(row, error, sequence.notes)
            self._rows = self._slots.items()
