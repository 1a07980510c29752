"""A running vLLM server, as a backend of `VLLMEngine`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from thinkpace.adapters.vllm.backend import EngineOutput, OutgoingRequest, vllm_seed
from thinkpace.adapters.vllm.notes import noted_from_json
from thinkpace.adapters.vllm.served_model import ServedModel
from thinkpace.adapters.vllm.terms import KEY, PROCESSOR
from thinkpace.errors import MissingExtra, UnsupportedControl
from thinkpace.processors.text.markers import Markers


class Server:
    """A server that runs our logits processor and middleware."""

    def __init__(
        self, base_url: str, tokenizer: Any, markers: Markers | None, api_key: str, parallel: int, timeout: float
    ) -> None:
        try:
            from openai import APIConnectionError, OpenAI
        except ModuleNotFoundError as error:
            raise MissingExtra("asking a vLLM server", "client") from error

        self._client = OpenAI(base_url=base_url, api_key=api_key, timeout=timeout)
        self._parallel = parallel
        try:
            card = self._client.models.list().data[0]
        except APIConnectionError:
            raise ConnectionError(f"no server answers at {base_url}") from None
        self.served = card.id
        details = card.model_extra or {}
        self.identity = hashlib.blake2b(f"{card.id} {details.get('root')}".encode(), digest_size=8).hexdigest()
        eos: tuple[int, ...] = ()
        if isinstance(tokenizer, str | Path):
            try:
                from transformers import AutoTokenizer
            except ModuleNotFoundError as error:
                raise MissingExtra("loading the tokenizer of a served model", "client") from error

            from thinkpace.adapters.vocabularies.hf_files import read_model_files

            eos = tuple(read_model_files(tokenizer).vocabulary.eos)
            tokenizer = AutoTokenizer.from_pretrained(tokenizer)
        self.model = ServedModel(tokenizer, eos, details.get("max_model_len"), markers)

    def close(self) -> None:
        self._client.close()

    def generate(self, asked: Sequence[OutgoingRequest]) -> list[EngineOutput]:
        with ThreadPoolExecutor(self._parallel) as pool:
            return list(pool.map(self._complete, asked))

    def _complete(self, outgoing: OutgoingRequest) -> EngineOutput:
        from openai import BadRequestError

        request, sampling = outgoing.request, outgoing.request.sampling
        try:
            response = self._client.completions.create(
                model=self.served,
                prompt=list(request.prompt + request.continue_from),
                max_tokens=request.max_new_tokens - len(request.continue_from),
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=vllm_seed(request),
                extra_body={
                    "top_k": sampling.top_k,
                    "min_p": sampling.min_p,
                    "vllm_xargs": {KEY: outgoing.terms.text()},
                    "return_token_ids": True,
                },
            )
        except BadRequestError as error:
            raise UnsupportedControl(f"the server refused a request: {error.message}") from None
        fields = response.choices[0].model_extra or {}
        if fields.get("receipt") is None:
            raise RuntimeError(
                "the server's answer holds no receipt: start it with --logits-processors "
                f"{PROCESSOR} --middleware thinkpace.adapters.vllm_middleware.ReceiptMiddleware, and not under Model "
                "Runner V2, which keeps none"
            )
        native = fields["receipt"]["enforced_by"] == "vLLM"
        return EngineOutput(tuple(fields["token_ids"]), noted_from_json(fields["notes"]), native)
