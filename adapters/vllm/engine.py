"""vLLM as an engine: offline over `LLM`, or over a running server.

    engine = VLLMEngine.from_path("Qwen/Qwen3-8B", max_model_len=8192)
    engine = VLLMEngine.connect("http://127.0.0.1:8000/v1", tokenizer="Qwen/Qwen3-8B")

A server is started as `thinkpace.adapters.vllm_middleware` says: it does the work, and its answers hold the receipts.
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
from thinkpace.adapters.vllm.served_model import replayed
from thinkpace.adapters.vllm.terms import PROCESSOR, WireRequest
from thinkpace.engine import Completion, Request
from thinkpace.errors import MissingExtra, UnsupportedControl
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import TokenIds, Vocabulary

if TYPE_CHECKING:
    from vllm import LLM


class VLLMEngine:
    """Generates with vLLM. Implements `Engine`.

    Output to continue from (`Request.continue_from`) goes to vLLM as the end of the prompt: its prefix cache, on by
    default, reads it once for all requests that share it.

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

    can_continue = True

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
            model: a folder, or a name on the hub.
            markers, name, native_caps: as above.
            arguments: passed on to `LLM`.
        """
        try:
            from vllm import LLM
        except ModuleNotFoundError as error:
            raise MissingExtra("generating with vLLM", "vllm") from error

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
        made._backend = server = Server(
            base_url=base_url, tokenizer=tokenizer, markers=markers, api_key=api_key, parallel=parallel, timeout=timeout
        )
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
            RuntimeError: if the workers' notes are not to be found, so that there can be no receipt; or if other
                requests are under way in the `LLM`.
        """
        model = self._backend.model
        asked = []
        for request in requests:
            if request.history.statistics:
                raise UnsupportedControl("vLLM is told no numbers about output that is there: leave out continue_from")
            request.check_room(model.context_tokens)
            program = model.program(WireRequest(request.controls, model.given), request.max_new_tokens)
            drawn = tuple(request.history.drawn.items())
            terms = WireRequest(
                request.controls, model.given, request.seed, continued=len(request.continue_from), drawn=drawn
            )
            asked.append(OutgoingRequest(request, terms, program))
        open_ = [one for one in asked if not is_done(begin(one.program, one.request), one.request)]
        said_of = dict(zip(map(id, open_), self._backend.generate(open_), strict=True))
        out = []
        for one in asked:
            said = said_of.get(id(one), EngineOutput((), WorkerNotes()))  # nothing more was to come of it
            if one.request.controls and said.noted is None and not said.native:
                raise RuntimeError(
                    "the workers left no notes, so there can be no receipt: they and this process must share a folder "
                    "for temporary files"
                )
            noted = said.noted or WorkerNotes()
            if noted.declined is not None:
                raise RuntimeError(noted.declined)
            if noted.error is not None:
                raise UnsupportedControl(noted.error)
            tokens = one.request.continue_from + said.tokens
            history = noted.history(tokens)
            history = replace(history, drawn={**one.request.history.drawn, **history.drawn})
            log = replayed(one.program, one.request.prompt, tokens, history)
            made = completion(log, one.request, model.vocabulary, said.times)
            if said.native:
                made = replace(made, receipt=replace(made.receipt, enforced_by="vLLM"))
            out.append(made)
        return out
