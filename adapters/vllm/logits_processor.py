"""vLLM: a logits processor that applies controls per request, in the workers.

    vllm serve MODEL --logits-processors thinkpace.adapters.vllm:ThinkpaceLogitsProcessor

    LLM(MODEL, logits_processors=[ThinkpaceLogitsProcessor])
    SamplingParams(..., extra_args=extra_args(BudgetForcing(max_tokens=512, waits=1)))

The class is registered by its path only: as an entry point it would be loaded into every engine on the machine.
Requests without controls are not changed. One class serves both of vLLM's runners: `v1_batch` is for the V1 runner,
`v2_batch` for Model Runner V2.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from thinkpace.adapters.vllm.notes import Notes
from thinkpace.adapters.vllm.params import FIELD, Conflict, check_params, temperature_of
from thinkpace.adapters.vllm.served_model import ServedModel
from thinkpace.adapters.vllm.terms import terms_from
from thinkpace.errors import MissingExtra, UnsupportedControl

try:
    import torch
    from vllm.exceptions import VLLMValidationError
    from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor

    from thinkpace.adapters.vllm.v1_batch import HostBatch
    from thinkpace.adapters.vllm.v2_batch import DeviceBatch
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


_ON_V2 = (
    "under Model Runner V2 controls run on the device; this has been tested on CPU tensors and not on a GPU, and keeps "
    "no receipts: VLLM_USE_V2_MODEL_RUNNER=0 in the environment of vLLM chooses the V1 runner, which has full test "
    "coverage"
)
_NO_RECEIPT = "Model Runner V2 keeps no receipts: start vLLM with VLLM_USE_V2_MODEL_RUNNER=0 to have them"
_log = logging.getLogger("thinkpace")


class ThinkpaceLogitsProcessor(LogitsProcessor, _V2LogitsProcessor):  # type: ignore[misc,unused-ignore]  # untyped where vLLM is not installed
    """Applies the controls of each request to its row.

    Raises:
        ValueError: if the engine's `additional_config` is invalid, or no markers are known: every request with controls
            would end at once, and only a log would say so.
    """

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Refuse, in the frontend, parameters that are invalid or would be ignored.

        Raises:
            VLLMValidationError: if there are any. Over HTTP this is a 400, whose `param` is the field.
        """
        try:
            check_params(sampling_params)
        except ValueError as error:
            field = error.field if isinstance(error, Conflict) else FIELD
            raise VLLMValidationError(str(error), parameter=field) from None

    def __init__(
        self, vllm_config: VllmConfig, device: torch.device | LogitsProcRequestState, is_pin_memory: bool = False
    ) -> None:
        self._model = ServedModel.of(vllm_config)
        self._model.check_markers()
        self._on_device: DeviceBatch | None = None
        if not isinstance(device, torch.device):
            _log.warning(_ON_V2)
            speculative = vllm_config.speculative_config
            self._on_device = DeviceBatch(self._model, device, speculative.num_speculative_tokens if speculative else 0)
            return
        self._on_host = HostBatch(self._model, device)

    def is_argmax_invariant(self) -> bool:
        """False: greedy rows are edited too."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """V1 runner: rows were removed, added or moved."""
        if batch_update is not None:
            self._on_host.update(batch_update)

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        """Model Runner V2: assign a slot to a request. Returns whether it has controls."""
        assert self._on_device is not None
        try:
            terms = terms_from(sampling_params.extra_args)
            if terms is not None and terms.receipt:
                Notes(terms.receipt, (), sampling_params.max_tokens).declined(_NO_RECEIPT)
            if terms is not None and terms.continued:
                raise UnsupportedControl("Model Runner V2 cannot continue earlier output (continued)")
            return self._on_device.add(req_idx, terms, sampling_params, temperature_of(sampling_params))
        except Exception as error:  # noqa: BLE001  # the frontend refuses what it can; raising here ends the engine
            self._on_device.refuse(req_idx, error)
            return True

    def apply_staged_writes(self) -> None:
        """Model Runner V2: the tokens of new requests are on the device."""
        assert self._on_device is not None
        self._on_device.flush()

    def apply(self, logits: torch.Tensor, ctx: LogitsContext | None = None) -> torch.Tensor:
        """Advance every controlled row to its current tokens, then write all edits at once.

        Args:
            logits: Float[rows, vocabulary], changed in place.
            ctx: Model Runner V2: maps the rows to slots.
        """
        if self._on_device is not None and ctx is not None:
            self._on_device.apply(logits, ctx)
        else:
            self._on_host.apply(logits)
        return logits
