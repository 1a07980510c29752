"""vLLM as an engine: offline over `LLM`, or over a running server.

    engine = VLLMEngine.from_path("Qwen/Qwen3-8B", max_model_len=8192)
    engine = VLLMEngine.connect("http://127.0.0.1:8000/v1", tokenizer="Qwen/Qwen3-8B")

A server is started as `thinkpace.adapters.vllm_middleware` says: it does the work, and its answers hold the receipts.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from thinkpace.adapters._requests import begin, completion, is_done
from thinkpace.adapters._served_model import ServedModel, replayed
from thinkpace.adapters._vllm_native import native_cap
from thinkpace.adapters._vllm_notes import Noted, close_notes, noted_from_json, of, open_notes, read_notes
from thinkpace.adapters.vllm_terms import KEY, Terms
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.markers import Markers
from thinkpace.processors.program import Program
from thinkpace.processors.request import Completion, Request
from thinkpace.processors.vocabulary import TokenIds, Vocabulary

if TYPE_CHECKING:
    from vllm import LLM, SamplingParams

PROCESSOR = "thinkpace.adapters.vllm:ThinkpaceLogitsProcessor"


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
    """

    tokens: TokenIds
    noted: Noted | None
    native: bool = False


class VLLMEngine:
    """Generates with vLLM. Implements `Engine`.

    What is there of an output (`Request.begun`) goes to vLLM as the end of the prompt: its prefix cache, which is on by
    default, reads it once for all that share it.

    Seeds: a request's seed is vLLM's own for it, and draws where a moved token came from. vLLM's filters follow the
    temperature, in the order top-k, top-p, after min-p.

    Args:
        llm: loaded with our logits processor: see `from_path`.
        markers: of its thinking; None to find them in the chat template.
        name: what journals call it.
        native_caps: whether a plain `ThinkBudget(n)` is left to vLLM's own `thinking_token_budget`, where it is loaded
            with a `reasoning_config` whose texts are the markers and the reserve cannot be touched; the receipt says
            who held the limit (`enforced_by`). One difference: vLLM grants the budget anew to thinking that is opened
            again.

    Raises:
        ValueError: if it was loaded without our logits processor, or `native_caps` could never hold.
    """

    goes_on = True

    def __init__(self, llm: LLM, *, markers: Markers | None = None, name: str = "", native_caps: bool = False) -> None:
        self._backend: Backend = _Offline(llm, markers, native_caps)
        self.name = name or f"vllm:{llm.llm_engine.vllm_config.model_config.model}"

    @classmethod
    def from_path(
        cls,
        model: str | Path,
        *,
        markers: Markers | None = None,
        name: str = "",
        native_caps: bool = False,
        **arguments: Any,
    ) -> VLLMEngine:
        """Load a model.

        Args:
            model: a folder, or a name on the hub.
            markers, name, native_caps: as above.
            arguments: passed on to `LLM`.
        """
        from vllm import LLM

        processors = [PROCESSOR, *arguments.pop("logits_processors", ())]
        return cls(
            LLM(str(model), logits_processors=processors, **arguments),
            markers=markers,
            name=name,
            native_caps=native_caps,
        )

    @classmethod
    def connect(
        cls,
        base_url: str,
        *,
        tokenizer: Any,
        markers: Markers | None = None,
        name: str = "",
        api_key: str = "EMPTY",
        parallel: int = 64,
        timeout: float = 3600.0,
    ) -> VLLMEngine:
        """An engine over a running server.

        Args:
            base_url: such as "http://127.0.0.1:8000/v1".
            tokenizer: of the served model: a folder, a name on the hub, or a tokenizer of transformers.
            markers, name: as above.
            api_key: the server's, if it has one.
            parallel: requests under way at once.
            timeout: seconds that a request may take.

        Raises:
            ConnectionError: if no server answers.
        """
        made = cls.__new__(cls)
        made._backend = server = _Server(base_url, tokenizer, markers, api_key, parallel, timeout)
        made.name = name or f"vllm-server:{server.served}"
        return made

    def close(self) -> None:
        """End the engine's processes, or the connection; it is of no use after that."""
        self._backend.close()

    @property
    def vocabulary(self) -> Vocabulary:
        return self._backend.model.vocabulary

    @property
    def markers(self) -> Markers:
        return self._backend.model.markers

    @property
    def context_tokens(self) -> int | None:
        """How many tokens the engine holds of one sequence."""
        return self._backend.model.context_tokens

    @property
    def identity(self) -> str:
        """Tells models apart that go by one name."""
        return self._backend.identity

    def chat(self, messages: Sequence[Mapping[str, str]]) -> TokenIds:
        return self._backend.model.vocabulary.chat(messages)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion per request, in their order.

        Args:
            requests: of any mixture: vLLM batches them.

        Raises:
            UnsupportedControl: before anything is generated, if a control cannot work here or a prompt is too long;
                after it, if one could not go on.
            RuntimeError: if the workers' notes are not to be found, so that there can be no receipt.
        """
        model = self._backend.model
        asked = []
        for request in requests:
            if request.told.numbers:
                raise UnsupportedControl("vLLM is told no numbers about output that is there: leave out begun")
            request.check_room(model.context_tokens)
            program = model.program(Terms(request.controls, model.given), request.max_new_tokens)
            drawn = tuple(request.told.drawn.items())
            terms = Terms(request.controls, model.given, request.seed, begun=len(request.begun), drawn=drawn)
            asked.append(Asked(request, terms, program))
        open_ = [one for one in asked if not is_done(begin(one.program, one.request), one.request)]
        said_of = dict(zip(map(id, open_), self._backend.generate(open_), strict=True))
        out = []
        for one in asked:
            said = said_of.get(id(one), Said((), Noted()))  # nothing more was to come of it
            if one.request.controls and said.noted is None and not said.native:
                raise RuntimeError(
                    "the workers left no notes, so there can be no receipt: they and this process must share a folder "
                    "for temporary files"
                )
            noted = said.noted or Noted()
            if noted.declined is not None:
                raise RuntimeError(noted.declined)
            if noted.error is not None:
                raise UnsupportedControl(noted.error)
            tokens = one.request.begun + said.tokens
            told = noted.told(tokens)
            told = replace(told, drawn={**one.request.told.drawn, **told.drawn})
            log = replayed(one.program, one.request.prompt, tokens, told)
            made = completion(log, one.request, model.vocabulary)
            if said.native:
                made = replace(made, receipt=replace(made.receipt, enforced_by="vLLM"))
            out.append(made)
        return out


class _Offline:
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
        from vllm import SamplingParams

        native = self.model.native
        caps = [native_cap(one.request, one.program, *native) if native else None for one in asked]
        with contextlib.ExitStack() as stack:
            noting = []
            for one in asked:
                name = open_notes() if one.request.controls else ""
                stack.callback(close_notes, name)
                noting.append(replace(one, terms=replace(one.terms, receipt=name)))
            params = [_params(one, cap, SamplingParams) for one, cap in zip(noting, caps, strict=True)]
            prompts: Any = [{"prompt_token_ids": list(one.request.prompt + one.request.begun)} for one in asked]
            outputs = self._llm.generate(prompts, params, use_tqdm=False)
            made = [tuple(output.outputs[0].token_ids) for output in outputs]
            return [
                Said(tokens, _notes(one, tokens), cap is not None)
                for tokens, one, cap in zip(made, noting, caps, strict=True)
            ]

    def close(self) -> None:
        self._llm.llm_engine.engine_core.shutdown()


def _params(asked: Asked, cap: int | None, make: type[SamplingParams]) -> SamplingParams:
    request, sampling = asked.request, asked.request.sampling
    return make(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        seed=_seed(request),
        max_tokens=request.max_new_tokens - len(request.begun),
        detokenize=False,
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


def _notes(asked: Asked, tokens: TokenIds) -> Noted | None:
    """The workers' notes on an output."""
    notes, request = read_notes(asked.terms.receipt) if asked.terms.receipt else [], asked.request
    failed = next((one for one in notes if one.error or one.declined), None)
    return failed or of(notes, request.prompt + request.begun, request.begun + tokens)


class _Server:
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
