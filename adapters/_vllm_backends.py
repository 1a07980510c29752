"""Where `VLLMEngine` has its requests generated: by an `LLM` of this process, or by a server."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from thinkpace.adapters._served_model import ServedModel
from thinkpace.adapters._vllm_native import native_cap
from thinkpace.adapters._vllm_notes import Noted, close_notes, noted_from_json, of, open_notes, read_notes
from thinkpace.adapters.vllm_terms import KEY, PROCESSOR, Terms
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.markers import Markers
from thinkpace.processors.program import Program
from thinkpace.processors.request import Request
from thinkpace.processors.vocabulary import TokenIds

if TYPE_CHECKING:
    from vllm import LLM, SamplingParams


class Backend(Protocol):
    """Where requests are generated."""

    @property
    def model(self) -> ServedModel: ...

    @property
    def identity(self) -> str: ...

    def generate(self, asked: Sequence[Asked]) -> list[Said]:
        """The output of each request."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A request on its way.

    Args:
        request: what is asked for.
        terms: what travels of it.
        program: its controls, compiled.
    """

    request: Request
    terms: Terms
    program: Program


@dataclass(frozen=True, slots=True)
class Said:
    """What came back.

    Args:
        tokens: of the output.
        noted: the workers' notes; None if there are none.
        native: whether vLLM's own budget held the limit, instead of our class.
        times: when each token came, in seconds since all were asked for; empty if that is not known.
    """

    tokens: TokenIds
    noted: Noted | None
    native: bool = False
    times: Sequence[float] = ()


class Offline:
    """An `LLM` of this process."""

    def __init__(self, llm: LLM, markers: Markers | None, native_caps: bool) -> None:
        config = llm.llm_engine.vllm_config
        loaded = config.model_config.logits_processors or []
        if not any(_is_ours(one) for one in loaded):
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

    def generate(self, asked: Sequence[Asked]) -> list[Said]:
        native = self.model.native
        caps = [native_cap(one.request, one.program, *native) if native else None for one in asked]
        with contextlib.ExitStack() as stack:
            noting = []
            for one in asked:
                name = open_notes() if one.request.controls else ""
                stack.callback(close_notes, name)
                noting.append(replace(one, terms=replace(one.terms, receipt=name)))
            params = [_params(one, cap) for one, cap in zip(noting, caps, strict=True)]
            made = self._run([one.request.prompt + one.request.begun for one in asked], params)
            return [
                Said(tuple(tokens), _notes(one, tokens), cap is not None, times)
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


def _params(asked: Asked, cap: int | None) -> SamplingParams:
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    request, sampling = asked.request, asked.request.sampling
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        seed=_seed(request),
        max_tokens=request.max_new_tokens - len(request.begun),
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
        thinking_token_budget=cap,
        # without controls too: ids that stand for nothing are barred
        extra_args={KEY: asked.terms.text()} if cap is None else None,
    )


def _seed(request: Request) -> int | None:
    """vLLM's own: one that goes on begins another stream, or the same numbers would come once more."""
    if request.sampling.temperature == 0:
        return None
    if not request.begun:
        return request.seed
    digest = hashlib.blake2b(f"{request.seed}/{len(request.begun)}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _notes(asked: Asked, tokens: Sequence[int]) -> Noted | None:
    """The workers' notes on an output."""
    notes, request = read_notes(asked.terms.receipt) if asked.terms.receipt else [], asked.request
    failed = next((one for one in notes if one.error or one.declined), None)
    return failed or of(notes, request.prompt + request.begun, request.begun + tuple(tokens))


class Server:
    """A server that runs our logits processor and middleware."""

    def __init__(
        self, base_url: str, tokenizer: Any, markers: Markers | None, api_key: str, parallel: int, timeout: float
    ) -> None:
        from openai import APIConnectionError, OpenAI

        self._client = OpenAI(base_url=base_url, api_key=api_key, timeout=timeout)
        self._parallel = parallel
        try:
            card = self._client.models.list().data[0]
        except APIConnectionError:
            raise ConnectionError(f"no server answers at {base_url}") from None
        self.served = card.id
        told = card.model_extra or {}
        self.identity = hashlib.blake2b(f"{card.id} {told.get('root')}".encode(), digest_size=8).hexdigest()
        eos: tuple[int, ...] = ()
        if isinstance(tokenizer, str | Path):
            from transformers import AutoTokenizer

            from thinkpace.adapters.hf_model_files import read_model_files

            eos = tuple(read_model_files(tokenizer).vocabulary.eos)
            tokenizer = AutoTokenizer.from_pretrained(tokenizer)
        self.model = ServedModel(tokenizer, eos, told.get("max_model_len"), markers)

    def close(self) -> None:
        self._client.close()

    def generate(self, asked: Sequence[Asked]) -> list[Said]:
        with ThreadPoolExecutor(self._parallel) as pool:
            return list(pool.map(self._one, asked))

    def _one(self, asked: Asked) -> Said:
        from openai import BadRequestError

        request, sampling = asked.request, asked.request.sampling
        try:
            made = self._client.completions.create(
                model=self.served,
                prompt=list(request.prompt + request.begun),
                max_tokens=request.max_new_tokens - len(request.begun),
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=_seed(request),
                extra_body={
                    "top_k": sampling.top_k,
                    "min_p": sampling.min_p,
                    "vllm_xargs": {KEY: asked.terms.text()},
                    "return_token_ids": True,
                },
            )
        except BadRequestError as error:
            raise UnsupportedControl(f"the server refused a request: {error.message}") from None
        said = made.choices[0].model_extra or {}
        if said.get("receipt") is None:
            raise RuntimeError(
                "the server's answer holds no receipt: start it with --logits-processors "
                f"{PROCESSOR} --middleware thinkpace.adapters.vllm_middleware.ReceiptMiddleware, and not under Model "
                "Runner V2, which keeps none"
            )
        native = said["receipt"]["enforced_by"] == "vLLM"
        return Said(tuple(said["token_ids"]), noted_from_json(said["notes"]), native)


def _is_ours(processor: str | type) -> bool:
    if isinstance(processor, str):
        return processor == PROCESSOR
    return any(f"{base.__module__}:{base.__qualname__}" == PROCESSOR for base in processor.__mro__)
