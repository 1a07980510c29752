"""The engine protocol over llama.cpp, with our own decoding loop: no torch, and a written phrase costs one decode."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from thinkpace.adapters.llama_cpp.loop import TRIAL_CELLS, Job, Loop
from thinkpace.adapters.llama_cpp.native import CacheType, Context, ModelFile, Sampler
from thinkpace.adapters.llama_cpp.stream import Piece, Pieces
from thinkpace.adapters.llama_cpp.vocabulary import (
    chat_template,
    find_markers,
    render_chat,
    render_continued,
    vocabulary_of,
)
from thinkpace.adapters.logits.numpy_writer import RowWriter
from thinkpace.adapters.sequences.requests import begin, compile_requests, completion
from thinkpace.engine import Completion, Request
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import TokenIds, Vocabulary

COLDEST, HOTTEST = 1e-5, 1e5  # llama.cpp divides in single precision


CONTEXT_TOKENS = 8192  # default cap per sequence: the memory is allocated up front


class LlamaCppEngine:
    """Generates with a GGUF model. Implements `Engine`.

    llama.cpp's own samplers draw the tokens, each sequence with its own random generator. A row's result depends on its
    neighbours only through the rounding of batched matrix products.

    Args:
        model: path of a GGUF file, or a `llama_cpp.Llama`, whose weights are used; its own context is not touched.
            Closing that object closes the engine.
        markers: the model's thinking markers. Default: found in the chat template.
        parallel: number of sequences generated at once, at least 1.
        context_tokens: maximum length of one sequence. Default: the context the model was trained with, at most 8192.
        cells: tokens that all sequences hold together. Default: `parallel` times `context_tokens`. Prefixes that
            sequences share are stored once.
        batch: maximum number of tokens per decode.
        threads: 0 for one per CPU that is free, by the load of the last minute.
        gpu_layers: number of layers kept on a GPU; -1 for all.
        cache_type: type of keys and values: "f16", "f32" or "q8_0".
        flash_attention: None for llama.cpp's own choice; without it sums are more exact.
        name: the engine's name in journals. Default: the file's name.

    Raises:
        MissingExtra: without llama-cpp-python.
        FileNotFoundError: if there is no such file.
        UnsupportedControl: if the markers cannot be found.
        ValueError: for invalid numbers, and for files that llama.cpp cannot load.
    """

    can_continue = True

    def __init__(
        self,
        model: Any,
        *,
        markers: Markers | None = None,
        parallel: int = 4,
        context_tokens: int | None = None,
        cells: int | None = None,
        batch: int = 512,
        threads: int = 0,
        gpu_layers: int = 0,
        cache_type: CacheType = "f16",
        flash_attention: bool | None = None,
        name: str = "",
    ) -> None:
        for what, number, least in (
            ("parallel", parallel, 1),
            ("batch", batch, 1),
            ("threads", threads, 0),
            ("context_tokens", 1 if context_tokens is None else context_tokens, 1),
        ):
            if not isinstance(number, int) or isinstance(number, bool) or number < least:
                raise ValueError(f"{what} must be a whole number >= {least}, got {number!r}")
        if cache_type not in ("f16", "f32", "q8_0"):
            raise ValueError(f"cache_type must be 'f16', 'f32' or 'q8_0', got {cache_type!r}")
        self._file = ModelFile(model, gpu_layers=gpu_layers) if isinstance(model, str | Path) else ModelFile.of(model)
        vocabulary = vocabulary_of(self._file.path)
        self.vocabulary: Vocabulary = vocabulary
        self._tokenizer = vocabulary.file
        self.markers = find_markers(self._tokenizer, markers)
        self._longest_piece = max(map(len, self.vocabulary.pieces))  # bytes
        self.context_tokens = context_tokens or min(self._file.trained_tokens, CONTEXT_TOKENS)
        if self.context_tokens > self._file.trained_tokens:
            raise ValueError(f"the model holds {self._file.trained_tokens} tokens, not {self.context_tokens}")
        self.cells = parallel * self.context_tokens if cells is None else cells
        if self.cells < self.context_tokens:
            raise ValueError(f"cells must be at least the {self.context_tokens} tokens of one sequence, got {cells}")
        self.name = name or f"llama.cpp:{Path(self._file.path).name}"
        self._context = Context(
            self._file,
            sequences=parallel + 1,
            cells=self.cells + TRIAL_CELLS,
            batch=max(batch, parallel + 1),  # room for one token of every sequence, trials included
            threads=threads,
            cache_type=cache_type,
            flash_attention=flash_attention,
        )
        self._loop = Loop(
            self._context,
            parallel=parallel,
            cells=self.cells,
            unused=[*self.vocabulary.unused, *range(self.vocabulary.size, self._context.width)],
            rewinds=self._file.rewinds,
        )

    @property
    def takes_back(self) -> bool:
        """Whether it can take back tokens; recurrent and hybrid models cannot."""
        return self._file.rewinds

    @property
    def identity(self) -> str:
        """Hash of the beginning, the end and the size of the file; tells models of the same name apart."""
        path = Path(self._file.path)
        size = path.stat().st_size
        with path.open("rb") as file:
            digest = hashlib.blake2b(str(size).encode() + file.read(1 << 20), digest_size=8)
            file.seek(max(0, size - (1 << 20)))
            digest.update(file.read())
        return digest.hexdigest()

    def chat(
        self,
        messages: Sequence[dict[str, str]],
        template_arguments: Mapping[str, object] | None = None,
        *,
        continues: bool = False,
    ) -> TokenIds:
        """The prompt ids of a conversation, including the generation prompt.

        Args:
            messages: role and content of each.
            template_arguments: passed on to the chat template, such as `{"enable_thinking": False}`.
            continues: whether the last message, one of the assistant, is to be continued.

        Raises:
            UnsupportedControl: if there is no template, or it refuses the messages or an argument; a ValueError.
        """
        render = render_continued if continues else render_chat
        return self._encoded(render(self._tokenizer, messages, template_arguments or {}))

    @property
    def chat_template(self) -> str | None:
        """Source of the chat template; None if the file has none."""
        return chat_template(self._tokenizer)

    def text_prompt(self, text: str) -> TokenIds:
        """The ids of plain text, with a beginning-of-sequence token if the model uses one."""
        return (*self._tokenizer.beginning(), *self._encoded(text))

    def _encoded(self, text: str) -> TokenIds:
        """The ids of a text, unless it surely has more than the context holds: to count them would take minutes."""
        least = len(text.encode()) // self._longest_piece
        if least > self.context_tokens:
            raise UnsupportedControl(
                f"the prompt has {least} tokens or more, and the model holds {self.context_tokens}", field="prompt"
            )
        return self.vocabulary.encode(text)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion per request, in their order; may be called from several threads.

        Args:
            requests: any mixture; all are decoded together.

        Raises:
            UnsupportedControl: before anything is generated, if a control cannot work here or a prompt is too long.
            RuntimeError: if llama.cpp fails.
        """
        jobs = self.jobs(requests)
        self._loop.submit(jobs)
        try:
            while not all(job.done for job in jobs):
                self._loop.step()
        finally:
            for job in jobs:
                if not job.done:
                    self._loop.cancel(job)
        return [self.completion(job) for job in jobs]

    def stream(self, request: Request) -> Generator[Piece, None, None]:
        """Yields the tokens of one request as they are generated, in pieces of one token kind.

        Closing the generator stops the generation. Tokens that may turn out to belong to a marker are held back until
        that is decided.
        """
        [job] = self.jobs([request])
        pieces = Pieces(job, self.vocabulary)
        self._loop.submit([job])
        try:
            while not job.done:
                self._loop.step()
                yield from pieces.new()
            yield from pieces.new()  # another caller's step may have finished it
            self.completion(job)  # raises the error if the job failed
        finally:
            self._loop.cancel(job)

    def jobs(self, requests: Sequence[Request]) -> list[Job]:
        """Turn requests into jobs for `submit`; all checks of the requests happen here.

        Raises:
            UnsupportedControl: if a control cannot work here, or a prompt is too long.
            ValueError: if a prompt holds ids outside the vocabulary.
        """
        self._context.check_open()
        for request in requests:
            if request.sampling.temperature and not COLDEST <= request.sampling.temperature <= HOTTEST:
                raise UnsupportedControl(
                    f"temperature must be 0 (greedy) or between {COLDEST:g} and {HOTTEST:g} on llama.cpp, "
                    f"got {request.sampling.temperature:g}",
                    field="temperature",
                )
            bad = [i for i in request.prompt + request.continue_from if not 0 <= i < self.vocabulary.size]
            if bad:
                raise ValueError(f"the prompt holds ids that this vocabulary does not have, such as {bad[0]}")
        programs = compile_requests(
            requests, self.vocabulary, self.markers, self.context_tokens, takes_back=self.takes_back
        )
        return [
            Job(
                request,
                begin(program, request),
                Sampler(request.sampling, _generator_seed(request), self._loop.candidates),
                RowWriter(request.sampling.temperature),
            )
            for request, program in zip(requests, programs, strict=True)
        ]

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue jobs, which calls of `step` then generate; for servers with many clients."""
        self._loop.submit(jobs)

    def cancel(self, job: Job) -> None:
        """Stop a job and free its slot."""
        self._loop.cancel(job)

    def step(self) -> list[Job]:
        """Run one decode of all active jobs; returns the jobs that got new tokens or ended."""
        return self._loop.step()

    def completion(self, job: Job) -> Completion:
        """The completion of a finished job.

        Raises:
            ValueError: or any other error that ended the job.
        """
        if job.error is not None:
            raise job.error
        return completion(job.log, job.request, self.vocabulary, job.times)

    def close(self) -> None:
        """Free the memory of the context; the engine cannot be used afterwards."""
        self._loop.close()


def _generator_seed(request: Request) -> int:
    """A 32-bit seed for the random generator; a continued request gets another, so no random number repeats."""
    text = f"{request.seed}/{len(request.continue_from)}" if request.continue_from else str(request.seed)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")
