"""Budget forcing over any server of OpenAI's completions protocol: stop, append, continue.

For servers that do not run thinkpace (Ollama, LM Studio, a plain vLLM, llama-server). Each request generates one
segment. The same program that runs inside other engines decides how long the segment may be and what is appended to
it; the next request sends the prompt and all output so far as its prompt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from thinkpace.adapters.sequences.requests import begin, compile_requests, completion, is_done
from thinkpace.adapters.sequences.sequence_log import SequenceLog
from thinkpace.adapters.vocabularies.hf import HFVocabulary, find_markers
from thinkpace.engine import Completion, Request
from thinkpace.errors import MissingExtra, UnsupportedControl
from thinkpace.processors.controls.budget_forcing import BudgetForcing
from thinkpace.processors.controls.think_budget import ThinkBudget
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.edit import Edit
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import TokenIds
from thinkpace.types import Phase

try:
    from openai import OpenAI
except ModuleNotFoundError as error:
    raise MissingExtra("asking a server", "client") from error


class SegmentedEngine:
    """An engine that requests segments from a server. Implements `Engine`.

    Limits: `ThinkBudget` and `BudgetForcing` only, without `landing`, `guard` and `hold`, and a minimum only with a
    `wait`: a client cannot make tokens less likely. Each segment is a separate request, whose prompt is everything
    before it: `usage.reread` counts these tokens (a server with a prefix cache does not compute them again). Seeds
    are per segment. With `ids=False` prompts and outputs are text: tokens are counted as `tokenizer` encodes them,
    which may differ from how they were generated, and a segment that ends by itself while waits are left counts as a
    close. At the limit a character of several tokens may be cut, and a close below the minimum stands if no wait
    fits: other engines prevent both.

    Args:
        base_url: such as "http://127.0.0.1:11434/v1".
        tokenizer: transformers tokenizer of the served model.
        model: its name on the server; None for the first model that the server lists.
        markers: its thinking markers; None to find them in the tokenizer's chat template.
        ids: whether the server accepts and returns token ids (vLLM); otherwise text is sent.
        eos_token_ids: further ids that end a sequence.
        context_tokens: the server's context length for one sequence, if known.
        name: the engine's name in journals.
        api_key: the server's, if it has one.
        parallel: maximum number of concurrent requests.
        timeout: timeout of one segment, in seconds.
    """

    can_continue = True
    takes_back = True

    def __init__(
        self,
        base_url: str,
        tokenizer: Any,
        *,
        model: str | None = None,
        markers: Markers | None = None,
        ids: bool = True,
        eos_token_ids: Sequence[int] = (),
        context_tokens: int | None = None,
        name: str = "",
        api_key: str = "EMPTY",
        parallel: int = 16,
        timeout: float = 3600.0,
    ) -> None:
        self._client = OpenAI(base_url=base_url, api_key=api_key, timeout=timeout)
        self._served = model or self._client.models.list().data[0].id
        self.vocabulary = HFVocabulary(tokenizer, tuple(eos_token_ids))
        self.markers = find_markers(tokenizer, markers)
        self.context_tokens = context_tokens  #: the server's context length for one sequence, if known
        self._ids = ids
        self._parallel = parallel
        self.name = name or f"segmented:{self._served}"

    @property
    def identity(self) -> str:
        """Hash of the server's address and the model's name; a client knows nothing else about the model."""
        return hashlib.blake2b(f"{self._client.base_url} {self._served}".encode(), digest_size=8).hexdigest()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def chat(
        self, messages: Sequence[Mapping[str, str]], template_arguments: Mapping[str, object] | None = None
    ) -> TokenIds:
        return self.vocabulary.chat(messages, template_arguments)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion per request, in their order.

        Raises:
            UnsupportedControl: before any request is sent, if a control cannot work in segments.
            RuntimeError: if the server's response lacks what was requested.
        """
        for control in (control for request in requests for control in request.controls):
            _check(control)
        programs = compile_requests(requests, self.vocabulary, self.markers, self.context_tokens, takes_back=True)
        logs = [begin(program, request) for program, request in zip(programs, requests, strict=True)]
        with ThreadPoolExecutor(self._parallel) as pool:
            list(pool.map(self._run, logs, requests))
        return [completion(log, request, self.vocabulary) for log, request in zip(logs, requests, strict=True)]

    def _run(self, log: SequenceLog, request: Request) -> None:
        """Generate one sequence."""
        while not is_done(log, request):
            room = request.max_new_tokens - len(log.tokens)
            if log.pending:
                for token in log.pending[:room]:
                    log.advance(token)
                continue
            if log.tokens:
                log.trials = (log.trials[0], log.trials[1] + len(log.prompt) + len(log.tokens))
            segment = self._segment(log, request, min(room, max(1, log.idle_left)))
            for at, token in enumerate(segment):
                taken = _take(log, token)
                if log.take_back is not None:
                    cut = len(segment) - at - 1
                    log.trials = (log.trials[0] + log.retract() + cut, log.trials[1])
                    break
                if taken != token or log.pending:  # the rest of the segment followed another token
                    log.trials = (log.trials[0] + len(segment) - at - 1, log.trials[1])
                    break

    def _segment(self, log: SequenceLog, request: Request, size: int) -> TokenIds:
        """The model's next tokens, up to and including its close."""
        close, eos = self.vocabulary.encode(self.markers.close), min(self.vocabulary.eos)
        replaced = any(token in log.edit.redirect for token in close)
        may_take_back = close in log.program.tracker.markers.plain_closes and bool(log.edit.redirect)
        stops = (replaced or may_take_back) and log.state.track.phase is Phase.THINKING
        before = (*log.prompt, *log.tokens)
        sampling = request.sampling
        extra: dict[str, Any] = {"skip_special_tokens": False}  # markers are special and must appear
        extra |= {"top_k": sampling.top_k} if sampling.top_k else {}
        extra |= {"min_p": sampling.min_p} if sampling.min_p else {}
        if self._ids:
            extra |= {"return_token_ids": True}
            extra |= {"stop_token_ids": [close[0]]} if stops and len(close) == 1 else {}
            extra |= {"include_stop_str_in_output": True} if stops and len(close) > 1 else {}
        choice = self._client.completions.create(
            model=self._served,
            prompt=list(before) if self._ids else self.vocabulary.decode(before),
            max_tokens=size,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=_segment_seed(request.seed, len(log.tokens)),
            stop=[self.markers.close] if stops and not (self._ids and len(close) == 1) else None,
            extra_body=extra,
        ).choices[0]
        if self._ids:
            ids: list[int] | None = (choice.model_extra or {}).get("token_ids")
            if not ids:
                raise RuntimeError("the server gives no token ids (return_token_ids): pass ids=False")
            return tuple(ids)
        segment = self.vocabulary.encode(choice.text)
        if choice.finish_reason == "stop":
            segment += close if stops else (eos,)
        if not segment:
            raise RuntimeError(f"the server returned no text where {size} tokens were asked for")
        return segment


def _check(control: Control) -> None:
    """Refuse a control that needs access to the logits, which a client of a server does not have."""
    if not isinstance(control, ThinkBudget | BudgetForcing):
        raise UnsupportedControl(
            f"{control!r} changes what is drawn, which a server without our class does unseen: only ThinkBudget and "
            "BudgetForcing work in segments"
        )
    waits = isinstance(control, BudgetForcing) and control.wait is not None
    if control.hold:
        raise UnsupportedControl(f"hold of {control!r} needs to see every token: it cannot work in segments")
    refused = [name for name in ("landing", "guard") if getattr(control, name)]
    refused += ["min_tokens"] if control.min_tokens and not waits else []
    refused += ["wait=None"] if isinstance(control, BudgetForcing) and control.waits and not waits else []
    if refused:
        raise UnsupportedControl(f"{refused[0]} of {control!r} makes tokens less likely: it cannot work in segments")


def _take(log: SequenceLog, drawn: int) -> int:
    """Advance by the token that the edit puts in place of `drawn`, and return it."""
    token = log.edit.redirect.get(drawn, drawn)

    def attribute(_edit: Edit, _token: int, _at: int) -> int:
        return drawn

    log.record_row(attribute, kept=1)
    log.advance(token)
    return token


def _segment_seed(seed: int, at: int) -> int:
    """The seed of the segment that begins at output index `at`."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{at}".encode(), digest_size=4).digest(), "little") >> 1
