"""An `LLM` of this process, as a backend of `VLLMEngine`."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from thinkpace.adapters.vllm.backend import EngineOutput, OutgoingRequest, vllm_seed
from thinkpace.adapters.vllm.native_budget import native_cap
from thinkpace.adapters.vllm.notes import WorkerNotes, close_notes, of, open_notes, read_notes
from thinkpace.adapters.vllm.served_model import ServedModel
from thinkpace.adapters.vllm.terms import KEY, PROCESSOR
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import TokenIds

if TYPE_CHECKING:
    from vllm import LLM, SamplingParams


class Offline:
    """An `LLM` of this process."""

    def __init__(self, llm: LLM, markers: Markers | None, native_caps: bool) -> None:
        config = llm.llm_engine.vllm_config
        loaded = config.model_config.logits_processors or []
        if not any(_is_ours(processor) for processor in loaded):
            raise ValueError(f"load it with our logits processor: LLM(..., logits_processors=[{PROCESSOR!r}])")
        self._llm = llm
        self._config = config
        self.model = ServedModel.of(config, markers, native_caps)

    @property
    def identity(self) -> str:
        """A hash over what tells the model: its configuration, and some of every file of weights where it is local."""
        config = self._config.model_config
        told = f"{config.model} {config.revision} {config.dtype} {config.quantization}"
        digest = hashlib.blake2b(told.encode(), digest_size=8)
        for path in sorted(Path(config.model).glob("*.safetensors")):
            with path.open("rb") as file:
                digest.update(f"{path.name} {path.stat().st_size}".encode() + file.read(1 << 20))
        return digest.hexdigest()

    def generate(self, asked: Sequence[OutgoingRequest]) -> list[EngineOutput]:
        native = self.model.native
        caps = [native_cap(one.request, one.program, *native) if native else None for one in asked]
        with contextlib.ExitStack() as stack:
            noting = []
            for one in asked:
                name = open_notes() if one.request.controls else ""
                stack.callback(close_notes, name)
                noting.append(replace(one, terms=replace(one.terms, receipt=name)))
            params = [_params(one, cap) for one, cap in zip(noting, caps, strict=True)]
            made = self._run([one.request.prompt + one.request.continue_from for one in asked], params)
            return [
                EngineOutput(tuple(tokens), _notes(one, tokens), cap is not None, times)
                for (tokens, times), one, cap in zip(made, noting, caps, strict=True)
            ]

    def _run(
        self, prompts: Sequence[TokenIds], params: Sequence[SamplingParams]
    ) -> list[tuple[list[int], list[float]]]:
        """What `LLM.generate` does, with the time of every token: their ids, and the seconds since the call began."""
        from vllm.inputs import tokens_input

        start = time.perf_counter()
        engine = self._llm.llm_engine
        if engine.has_unfinished_requests():
            raise RuntimeError("other requests are under way in this LLM: let it finish them first")
        names = [str(next(self._llm.request_counter)) for _ in prompts]
        made: dict[str, tuple[list[int], list[float]]] = {name: ([], []) for name in names}
        added = []
        try:
            for name, prompt, one in zip(names, prompts, params, strict=True):
                added.append(engine.add_request(name, tokens_input(list(prompt)), one))
            while engine.has_unfinished_requests():
                outputs = engine.step()
                now = time.perf_counter() - start
                for output in outputs:
                    tokens, times = made[output.request_id]
                    new = output.outputs[0].token_ids
                    tokens += new
                    times += [now] * len(new)
        except BaseException:
            engine.abort_request(added, internal=True)  # or they would go on in the next call
            raise
        return [made[name] for name in names]

    def close(self) -> None:
        self._llm.llm_engine.engine_core.shutdown()


def _params(asked: OutgoingRequest, cap: int | None) -> SamplingParams:
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    request, sampling = asked.request, asked.request.sampling
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        seed=vllm_seed(request),
        max_tokens=request.max_new_tokens - len(request.continue_from),
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
        thinking_token_budget=cap,
        # without controls too: ids that stand for nothing are barred
        extra_args={KEY: asked.terms.text()} if cap is None else None,
    )


def _notes(asked: OutgoingRequest, tokens: Sequence[int]) -> WorkerNotes | None:
    """The workers' notes on an output."""
    notes, request = read_notes(asked.terms.receipt) if asked.terms.receipt else [], asked.request
    failed = next((one for one in notes if one.error or one.declined), None)
    return failed or of(notes, request.prompt + request.continue_from, request.continue_from + tuple(tokens))


def _is_ours(processor: str | type) -> bool:
    from thinkpace.adapters.vllm.logits_processor import ThinkpaceLogitsProcessor

    if isinstance(processor, str):
        module, _, name = processor.partition(":")
        try:
            processor = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            return False
    return isinstance(processor, type) and issubclass(processor, ThinkpaceLogitsProcessor)
