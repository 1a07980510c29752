"""vLLM: controls per request, in the workers.

    vllm serve MODEL --logits-processors thinkpace.adapters.vllm:ThinkpaceLogitsProcessor

    LLM(MODEL, logits_processors=[ThinkpaceLogitsProcessor])
    SamplingParams(..., extra_args=extra_args(BudgetForcing(max_tokens=512, waits=1)))

Registered by its path only: as an entry point it would be loaded into every engine on the machine. Requests that ask
for nothing are not looked at. One class serves both of vLLM's runners: here is the V1 runner, in `_vllm_device` Model
Runner V2. The state of a sequence advances when its row is about to be sampled, from the live list of its output: what
vLLM calls a step may be a row that is thrown away, or one that comes again.
"""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from thinkpace.adapters.logits.attribution import DrawAttribution
from thinkpace.adapters.logits.torch_statistics import row_statistics
from thinkpace.adapters.logits.torch_writer import ScoreWriter, TorchSnapshot
from thinkpace.adapters.sequences.sequence_log import SequenceLog
from thinkpace.adapters.sequences.slots import Slots
from thinkpace.adapters.vllm.device_batch import ENDED, DeviceBatch
from thinkpace.adapters.vllm.device_group import last_id
from thinkpace.adapters.vllm.notes import Notes
from thinkpace.adapters.vllm.params import check_params, temperature_of
from thinkpace.adapters.vllm.served_model import ServedModel
from thinkpace.adapters.vllm.terms import KEY, WireRequest, terms_from
from thinkpace.errors import MissingExtra, UnsupportedControl
from thinkpace.processors.core.decisions import Statistics
from thinkpace.processors.core.edit import KEEP, Edit, force
from thinkpace.processors.core.program import Program

try:
    import torch
    from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, MoveDirectionality
except ModuleNotFoundError as error:
    raise MissingExtra("the vLLM adapter", "vllm") from error

try:  # since 0.31
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor as _V2LogitsProcessor
except ImportError:
    _V2LogitsProcessor = object

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState


_PARKED = 512  # sequences that left the batch and may come back


_ON_V2 = (
    "under Model Runner V2 controls run on the device; this has been tested on CPU tensors and not on a GPU, and keeps "
    "no receipts: VLLM_USE_V2_MODEL_RUNNER=0 in the environment of vLLM chooses the V1 runner, which is tested whole"
)


_NO_RECEIPT = "Model Runner V2 keeps no receipts: start vLLM with VLLM_USE_V2_MODEL_RUNNER=0 to have them"


_log = logging.getLogger("thinkpace")


class _Sequence(SequenceLog):
    """A sequence in the batch.

    Args:
        program, prompt, seed: as in `SequenceLog`.
        continued: the output that was there before; to vLLM it is the end of the prompt.
        live: the output since, to which vLLM appends; ids below 0 are still to come.
        params: of its request.
        notes: what is written down for its receipt; None for none.
        has_siblings: whether its request has other sequences too.
    """

    __slots__ = ("continued", "has_siblings", "live", "notes", "params", "temperature")

    def __init__(
        self,
        program: Program,
        prompt: tuple[int, ...],
        seed: int,
        continued: tuple[int, ...],
        live: list[int],
        params: SamplingParams,
        notes: Notes | None,
        terms: WireRequest,
    ) -> None:
        super().__init__(program, prompt, seed)
        self.drawn.update(terms.drawn)
        self.sync(continued)
        self.continued = continued
        self.live = live
        self.params = params
        self.notes = notes
        self.has_siblings = terms.has_siblings
        self.temperature = temperature_of(params)

    def catch_up(self) -> None:
        """Be at the live output."""
        live, before = self.live, len(self.continued)
        length = len(live)
        while length and live[length - 1] < 0:
            length -= 1
        if before + length < len(self.tokens):
            self.sync([*self.continued, *live[:length]])
            if self.notes:
                self.notes.rewound(before + length)
        for token in live[len(self.tokens) - before : length]:
            self.advance(token)
            if self.notes:
                drawn = self.drawn.get(len(self.tokens) - 1)
                if drawn is not None or self.has_siblings:
                    self.notes.came(self.tokens, drawn)

    @property
    def over(self) -> bool:
        """Whether nothing more can come of it."""
        last = self.live[-1] if self.live else -1
        return self.ended or last in self.program.tracker.eos or len(self.live) == self.params.max_tokens

    def hear(self, numbers: Statistics) -> None:
        """The numbers that the state needs about the next token."""
        self.receive(numbers)
        if self.notes:
            self.notes.note_statistics(self.tokens, numbers)

    def wrote(self, edit: Edit, attribution: DrawAttribution) -> None:
        """The row has been edited; `attribution` tells where the next token came from."""
        self.record_row(attribution, kept=1)
        at = len(self.tokens)
        if (
            self.notes and at + 1 - len(self.continued) == self.params.max_tokens
        ):  # what comes there is never shown here
            refused = attribution(edit, -1, at)
            drawn = {token: attribution(edit, token, at) for token in edit.moved_onto}
            self.notes.expects(self.tokens, drawn, refused if refused >= 0 else None)


@dataclass(frozen=True, slots=True)
class _Refused:
    """A row whose controls cannot work: it is ended, never generated without them."""

    edit: Edit
    temperature: float = 0.0


class ThinkpaceLogitsProcessor(LogitsProcessor, _V2LogitsProcessor):  # type: ignore[misc,unused-ignore]  # untyped where vLLM is not
    """Applies the controls of each request to its row.

    Raises:
        ValueError: if the engine's `additional_config` is not understood.
    """

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Refuse, in the frontend, what cannot be understood or would be ignored.

        Raises:
            ValueError: it names the field; over HTTP a 400.
        """
        check_params(sampling_params)

    def __init__(
        self, vllm_config: VllmConfig, device: torch.device | LogitsProcRequestState, is_pin_memory: bool = False
    ) -> None:
        self._model = ServedModel.of(vllm_config)
        self._on_device: DeviceBatch | None = None  # under Model Runner V2, which takes the place of all the rest
        if not isinstance(device, torch.device):
            _log.warning(_ON_V2)
            speculative = vllm_config.speculative_config
            self._on_device = DeviceBatch(self._model, device, speculative.num_speculative_tokens if speculative else 0)
            return
        self._device = device
        vocabulary = self._model.vocabulary
        self._writer = ScoreWriter(vocabulary.size, 1.0, vocabulary.unused, beams=False)
        self._slots: Slots[_Sequence | _Refused] = Slots()
        self._rows: list[tuple[int, _Sequence | _Refused]] = []
        self._cleared = torch.empty(0, dtype=torch.long)  # Long[rows], the same
        self._parked: deque[_Sequence] = deque(maxlen=_PARKED)
        try:
            self._model.program(
                WireRequest(()), None
            )  # the vocabulary is looked through now, not under the first request
        except UnsupportedControl as error:
            _log.warning("%s; requests can give them as %s.markers", error, KEY)

    def is_argmax_invariant(self) -> bool:
        """Greedy rows are edited too."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follow the batch: who left, who came, who moved."""
        if batch_update is None:
            return
        for row in batch_update.removed:
            self._leave(row)
        for row, params, prompt, output in batch_update.added:
            self._leave(row)  # one may take another's place without that one being removed
            self._come(row, params, prompt, output)
        for source, target, how in batch_update.moved:
            if how is MoveDirectionality.SWAP:
                self._slots.swap(source, target)
            else:
                self._leave(target)
                self._slots.move(source, target)
        self._rows = self._slots.items()
        self._cleared = torch.tensor([row for row, _ in self._rows], dtype=torch.long, device=self._device)

    def _leave(self, row: int) -> None:
        sequence = self._slots.get(row)
        self._slots.drop(row)
        if isinstance(sequence, _Sequence) and not sequence.over:
            self._parked.append(sequence)

    def _back(self, params: SamplingParams, prompt: list[int] | None, output: list[int]) -> _Sequence | None:
        """A preempted sequence that comes back: with the same parameters, which samples of one request may share."""
        for sequence in self._parked:
            known, all_before = sequence.tokens[len(sequence.continued) :], sequence.prompt + sequence.continued
            if sequence.params is params and all_before == tuple(prompt or ()) and output[: len(known)] == known:
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
                raise UnsupportedControl("a prompt of embeddings shows no ids, which controls need")
            if terms.continued >= len(prompt):
                raise UnsupportedControl(
                    f"continued={terms.continued} leaves nothing of a prompt of {len(prompt)} tokens"
                )
            own, continued = (
                tuple(prompt[: len(prompt) - terms.continued]),
                tuple(prompt[len(prompt) - terms.continued :]),
            )
            program = self._model.program(WireRequest(terms.controls, terms.markers), limit)
            seed = terms.seed if terms.seed is not None else params.seed
            seed = secrets.randbits(63) if seed is None else seed
            self._slots.add(
                row,
                _Sequence(
                    program=program,
                    prompt=own,
                    seed=seed,
                    continued=continued,
                    live=output,
                    params=params,
                    notes=notes,
                    terms=terms,
                ),
            )
        except Exception as error:  # noqa: BLE001  # the frontend refuses what it can; what is raised here ends the engine
            self._refuse(row, error, notes)

    def _refuse(self, row: int, error: Exception, notes: Notes | None) -> None:
        _log.error(ENDED, error)
        if notes:
            notes.failed(str(error))
        self._slots.add(row, _Refused(force(last_id(self._model))))

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        """Model Runner V2: a request gets a slot."""
        assert self._on_device is not None
        try:
            terms = terms_from(sampling_params.extra_args)
            if terms is not None and terms.receipt:
                Notes(terms.receipt, (), sampling_params.max_tokens).declined(_NO_RECEIPT)
            if terms is not None and terms.continued:
                raise UnsupportedControl("Model Runner V2 does not go on from output that is there (continued)")
            return self._on_device.add(req_idx, terms, sampling_params, temperature_of(sampling_params))
        except Exception as error:  # noqa: BLE001  # the frontend refuses what it can; what is raised here ends the engine
            self._on_device.refuse(req_idx, error)
            return True

    def apply_staged_writes(self) -> None:
        """Model Runner V2: the tokens of new requests are there."""
        assert self._on_device is not None
        self._on_device.flush()

    def apply(self, logits: torch.Tensor, ctx: LogitsContext | None = None) -> torch.Tensor:
        """Bring every controlled row to its tokens, then write all edits at once.

        Args:
            logits: Float[rows, vocabulary], changed in place.
            ctx: Model Runner V2: which rows these are.
        """
        if self._on_device is not None and ctx is not None:
            self._on_device.apply(logits, ctx)
            return logits
        if not self._rows:
            return logits
        sequences = [(row, one) for row, one in self._rows if isinstance(one, _Sequence)]
        for row, one in sequences:
            self._guarded(row, one, one.catch_up)
        self._writer.clear(logits, self._cleared)
        # also once more: the row before may have been one of an unfinished prompt
        asking = {row: (one, asks) for row, one in sequences if (asks := one.asks)}
        if asking:
            numbers = row_statistics(asking, logits[:, : self._writer.size])
            for row, (one, _) in asking.items():
                self._guarded(row, one, partial(one.hear, numbers[row]))
        edited = [(row, sequence, edit) for row, sequence in self._rows if (edit := sequence.edit) is not KEEP]
        gathered = self._writer.write(
            logits, [(row, edit) for row, _, edit in edited], [sequence.temperature for _, sequence, _ in edited]
        )
        for place, (row, sequence, edit) in enumerate(edited):
            if gathered is not None and isinstance(sequence, _Sequence) and (edit.moved_onto or edit.redraw):
                seen = TorchSnapshot(gathered, place, row)
                sequence.wrote(edit, DrawAttribution(seen, sequence.temperature, sequence.seed))
        return logits

    def _guarded(self, row: int, sequence: _Sequence, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001  # one request must not end the engine, and so all others
            self._refuse(row, error, sequence.notes)
            self._rows = self._slots.items()
