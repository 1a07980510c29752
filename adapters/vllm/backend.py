"""What `VLLMEngine` asks of whatever generates for it: an `LLM` of this process, or a server."""

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
    """Where requests are generated."""

    @property
    def model(self) -> ServedModel: ...

    @property
    def identity(self) -> str: ...

    def generate(self, asked: Sequence[OutgoingRequest]) -> list[EngineOutput]:
        """The output of each request."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """A request on its way.

    Args:
        request: what is asked for.
        terms: what travels of it.
        program: its controls, compiled.
    """

    request: Request
    terms: WireRequest
    program: Program


@dataclass(frozen=True, slots=True)
class EngineOutput:
    """What came back.

    Args:
        tokens: of the output.
        noted: the workers' notes; None if there are none.
        native: whether vLLM's own budget held the limit, instead of our class.
        times: when each token came, in seconds since all were asked for; empty if that is not known.
    """

    tokens: TokenIds
    noted: WorkerNotes | None
    native: bool = False
    times: Sequence[float] = ()


def vllm_seed(request: Request) -> int | None:
    """vLLM's own: one that goes on begins another stream, or the same numbers would come once more."""
    if request.sampling.temperature == 0:
        return None
    if not request.continue_from:
        return request.seed
    digest = hashlib.blake2b(f"{request.seed}/{len(request.continue_from)}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
