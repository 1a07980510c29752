"""The interface between `VLLMEngine` and what generates for it: an `LLM` in this process, or a server."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from thinkpace.adapters.vllm.notes import WorkerNotes
from thinkpace.adapters.vllm.served_model import ServedModel
from thinkpace.adapters.vllm.terms import WireRequest
from thinkpace.engine import Request
from thinkpace.processors.core.program import Program
from thinkpace.processors.text.vocabulary import TokenIds


class Backend(Protocol):
    """Generates the output of requests."""

    @property
    def model(self) -> ServedModel: ...

    @property
    def identity(self) -> str: ...

    def generate(self, asked: Sequence[OutgoingRequest]) -> list[EngineOutput]:
        """Generate one output per request, in order."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """A request, ready to be sent.

    Args:
        request: the request.
        terms: the part of it that is sent to the workers.
        program: its controls, compiled.
    """

    request: Request
    terms: WireRequest
    program: Program


@dataclass(frozen=True, slots=True)
class EngineOutput:
    """The output of one request.

    Args:
        tokens: output ids.
        noted: the workers' notes; None if there are none.
        native: whether vLLM's own budget enforced the limit, instead of our logits processor.
        times: arrival time of each token, in seconds since all requests were submitted; empty if unknown.
    """

    tokens: TokenIds
    noted: WorkerNotes | None
    native: bool = False
    times: Sequence[float] = ()


def vllm_seed(request: Request) -> int | None:
    """Seed for vLLM's sampler; None if decoding is greedy.

    A continued request gets another seed than its own, which would repeat the random numbers of the earlier output.
    """
    if request.sampling.temperature == 0:
        return None
    if not request.continue_from:
        return request.seed
    digest = hashlib.blake2b(f"{request.seed}/{len(request.continue_from)}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
