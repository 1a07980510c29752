"""An `LLM` in this process, as a backend of `VLLMEngine`."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkpace.adapters.vllm.backend import EngineOutput, OutgoingRequest, vllm_seed
from thinkpace.adapters.vllm.native.budget import native_cap
from thinkpace.adapters.vllm.notes import WorkerNotes, close_notes, of, open_notes, read_notes
from thinkpace.adapters.vllm.served_model import ServedModel
from thinkpace.adapters.vllm.terms import KEY, PROCESSOR
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import TokenIds

if TYPE_CHECKING:
    from vllm import LLM, SamplingParams


def has_our_class(vllm_config: Any) -> bool:
    """Whether an engine loads our logits processor; without it, controls would be ignored."""
    return any(_is_ours(processor) for processor in vllm_config.model_config.logits_processors or ())


def _is_ours(processor: str | type) -> bool:
    from thinkpace.adapters.vllm.logits_processor import ThinkpaceLogitsProcessor

    if isinstance(processor, str):
        module, _, name = processor.partition(":")
        try:
            processor = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            return False
    return isinstance(processor, type) and issubclass(processor, ThinkpaceLogitsProcessor)


class Offline:
    """An `LLM` in this process."""

    def __init__(self, llm: LLM, markers: Markers | None, native_caps: bool) -> None:
        config = llm.llm_engine.vllm_config
        if not has_our_class(config):
            raise ValueError(f"load it with our logits processor: LLM(..., logits_processors=[{PROCESSOR!r}])")
        self._llm = llm
        self._config = config
        self.model = ServedModel.of(config, markers, native_caps)

    @property
    def identity(self) -> str:
        """Hash of the model's configuration and, if it is local, of each weight file's name, size and first MiB."""
        config = self._config.model_config
        description = f"{config.model} {config.revision} {config.dtype} {config.quantization}"
        digest = hashlib.blake2b(description.encode(), digest_size=8)
        for path in sorted(Path(config.model).glob("*.safetensors")):
            with path.open("rb") as file:
                digest.update(f"{path.name} {path.stat().st_size}".encode() + file.read(1 << 20))
        return digest.hexdigest()

    def generate(self, asked: Sequence[OutgoingRequest]) -> list[EngineOutput]:
        native = self.model.native
        caps = [native_cap(item.request, item.program, *native) if native else None for item in asked]
        with contextlib.ExitStack() as stack:
            with_notes = []
            for item in asked:
                name = open_notes() if item.request.controls else ""
                stack.callback(close_notes, name)
                with_notes.append(replace(item, terms=replace(item.terms, receipt=name)))
            params = [_params(item, cap) for item, cap in zip(with_notes, caps, strict=True)]
            outputs = self._run([item.request.prompt + item.request.continue_from for item in asked], params)
            return [
                EngineOutput(tuple(tokens), _notes(item, tokens), cap is not None, times)
                for (tokens, times), item, cap in zip(outputs, with_notes, caps, strict=True)
            ]

    def _run(
        self, prompts: Sequence[TokenIds], params: Sequence[SamplingParams]
    ) -> list[tuple[list[int], list[float]]]:
        """Like `LLM.generate`, with arrival times: per prompt the output ids, and each one's seconds since the call."""
        from vllm.inputs import tokens_input

        start = time.perf_counter()
        engine = self._llm.llm_engine
        if engine.has_unfinished_requests():
            raise RuntimeError("other requests are under way in this LLM: let it finish them first")
        names = [str(next(self._llm.request_counter)) for _ in prompts]
        results: dict[str, tuple[list[int], list[float]]] = {name: ([], []) for name in names}
        added = []
        try:
            for name, prompt, request_params in zip(names, prompts, params, strict=True):
                added.append(engine.add_request(name, tokens_input(list(prompt)), request_params))
            while engine.has_unfinished_requests():
                outputs = engine.step()
                now = time.perf_counter() - start
                for output in outputs:
                    tokens, times = results[output.request_id]
                    new = output.outputs[0].token_ids
                    tokens += new
                    times += [now] * len(new)
        except BaseException:
            engine.abort_request(added, internal=True)  # otherwise they would continue in the next call
            raise
        return [results[name] for name in names]

    def close(self) -> None:
        self._llm.llm_engine.engine_core.shutdown()


def _params(outgoing: OutgoingRequest, cap: int | None) -> SamplingParams:
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    request, sampling = outgoing.request, outgoing.request.sampling
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
        # sent without controls too: the worker bars ids that stand for no token
        extra_args={KEY: outgoing.terms.text()} if cap is None else None,
    )


def _notes(outgoing: OutgoingRequest, tokens: Sequence[int]) -> WorkerNotes | None:
    """The workers' notes on an output."""
    notes, request = read_notes(outgoing.terms.receipt) if outgoing.terms.receipt else [], outgoing.request
    failure = next((noted for noted in notes if noted.error or noted.declined), None)
    return failure or of(notes, request.prompt + request.continue_from, request.continue_from + tuple(tokens))
