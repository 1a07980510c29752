"""vLLM as an engine: offline over `LLM`, or over a running server.

    engine = VLLMEngine.from_path("Qwen/Qwen3-8B", max_model_len=8192)
    engine = VLLMEngine.connect("http://127.0.0.1:8000/v1", tokenizer="Qwen/Qwen3-8B")

Start a server as shown in `thinkpace.adapters.vllm.middleware`: it applies the controls, and its responses contain the
receipts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkpace.adapters.sequences.requests import begin, completion, is_done
from thinkpace.adapters.vllm.backend import Backend, EngineOutput, OutgoingRequest
from thinkpace.adapters.vllm.client import Server
from thinkpace.adapters.vllm.notes import WorkerNotes
from thinkpace.adapters.vllm.offline import Offline
from thinkpace.adapters.vllm.served_model import MARKERS_IN_REQUESTS, replayed
from thinkpace.adapters.vllm.terms import KEY, PROCESSOR, WireRequest
from thinkpace.engine import Completion, Request
from thinkpace.errors import MissingExtra, UnsupportedControl
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import TokenIds, Vocabulary

if TYPE_CHECKING:
    from vllm import LLM


class VLLMEngine:
    """Generates with vLLM. Implements `Engine`.

    Output to continue from (`Request.continue_from`) goes to vLLM as the end of the prompt. vLLM's prefix cache, on by
    default, computes it once for all requests that share it.

    A request's seed is used twice: as vLLM's seed of the request, and to draw which id a moved token came from. vLLM
    applies the temperature first, then min-p, top-k and top-p.

    Args:
        llm: loaded with our logits processor; see `from_path`.
        markers: the model's thinking markers; None to find them in the chat template.
        name: the engine's name in journals.
        native_caps: whether vLLM's own `thinking_token_budget` enforces a plain `ThinkBudget(n)`. This needs an `llm`
            with a `reasoning_config` whose texts equal the markers, and a budget that cannot reach into the answer
            reserve. The receipt names who enforced the limit (`enforced_by`). One difference: vLLM grants the full
            budget again to thinking that is reopened.

    Raises:
        ValueError: if `llm` was loaded without our logits processor, or `native_caps` could never apply.
    """

    can_continue = True
    takes_back = False

    def __init__(self, llm: LLM, *, markers: Markers | None = None, name: str = "", native_caps: bool = False) -> None:
        self._backend: Backend = Offline(llm, markers, native_caps)
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
            model: a folder, or a model name on the hub.
            markers, name, native_caps: as in the class.
            arguments: passed on to `LLM`.
        """
        try:
            from vllm import LLM
        except ModuleNotFoundError as error:
            raise MissingExtra("generating with vLLM", "vllm") from error

        processors = [PROCESSOR, *arguments.pop("logits_processors", ())]
        if markers is not None:
            config = arguments.pop("additional_config", None) or {}
            ours = {MARKERS_IN_REQUESTS: True, **config.get(KEY, {})}
            arguments["additional_config"] = {**config, KEY: ours}
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
        """Connect to a running server.

        Args:
            base_url: such as "http://127.0.0.1:8000/v1".
            tokenizer: tokenizer of the served model: a folder, a name on the hub, or a transformers tokenizer.
            markers, name: as in the class.
            api_key: the server's key, if it has one.
            parallel: maximum number of concurrent requests.
            timeout: seconds that a request may take.

        Raises:
            ConnectionError: if no server answers.
        """
        engine = cls.__new__(cls)
        engine._backend = server = Server(
            base_url=base_url, tokenizer=tokenizer, markers=markers, api_key=api_key, parallel=parallel, timeout=timeout
        )
        engine.name = name or f"vllm-server:{server.served}"
        return engine

    def close(self) -> None:
        """End the engine's processes, or the connection; the engine cannot be used afterwards."""
        self._backend.close()

    @property
    def vocabulary(self) -> Vocabulary:
        return self._backend.model.vocabulary

    @property
    def markers(self) -> Markers:
        return self._backend.model.markers

    @property
    def context_tokens(self) -> int | None:
        """Maximum number of tokens of one sequence."""
        return self._backend.model.context_tokens

    @property
    def identity(self) -> str:
        """Hash that distinguishes models of the same name."""
        return self._backend.identity

    def chat(
        self, messages: Sequence[Mapping[str, str]], template_arguments: Mapping[str, object] | None = None
    ) -> TokenIds:
        return self._backend.model.vocabulary.chat(messages, template_arguments)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Generate one completion per request, in order.

        Args:
            requests: any mixture of requests; vLLM batches them.

        Raises:
            UnsupportedControl: before generation, if a control cannot work here or a prompt is too long; after it, if
                a control failed during decoding.
            RuntimeError: if the workers left no notes, so that there can be no receipt; or if other requests are in
                progress in the `LLM`.
        """
        model = self._backend.model
        outgoing = []
        for request in requests:
            if request.history.statistics:
                raise UnsupportedControl("vLLM cannot take row statistics of earlier output: leave out continue_from")
            request.check_room(model.context_tokens)
            program = model.program(WireRequest(request.controls, model.given), request.max_new_tokens)
            drawn = tuple(request.history.drawn.items())
            terms = WireRequest(
                request.controls, model.given, request.seed, continued=len(request.continue_from), drawn=drawn
            )
            outgoing.append(OutgoingRequest(request, terms, program))
        unfinished = [item for item in outgoing if not is_done(begin(item.program, item.request), item.request)]
        outputs = dict(zip(map(id, unfinished), self._backend.generate(unfinished), strict=True))
        out = []
        for item in outgoing:
            output = outputs.get(id(item), EngineOutput((), WorkerNotes()))  # done before generation
            if item.request.controls and output.noted is None and not output.native:
                raise RuntimeError(
                    "the workers left no notes, so there can be no receipt: they and this process must share a folder "
                    "for temporary files"
                )
            notes = output.noted or WorkerNotes()
            if notes.declined is not None:
                raise RuntimeError(notes.declined)
            if notes.error is not None:
                raise UnsupportedControl(notes.error)
            tokens = item.request.continue_from + output.tokens
            history = notes.history(tokens)
            history = replace(history, drawn={**item.request.history.drawn, **history.drawn})
            log = replayed(item.program, item.request.prompt, tokens, history)
            result = completion(log, item.request, model.vocabulary, output.times)
            if output.native:
                result = replace(result, receipt=replace(result.receipt, enforced_by="vLLM"))
            out.append(result)
        return out
