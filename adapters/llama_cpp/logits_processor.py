"""llama-cpp-python: controls for `Llama(...)`, `create_completion` and `create_chat_completion`.

    processors = logits_processors(llama, BudgetForcing(max_tokens=512, waits=1), max_new_tokens=1024)
    output = llama.create_chat_completion(messages, max_tokens=1024, logits_processor=processors)
    processors.receipt(output)

The library prints exceptions of processors and continues, and it drops its processors if a `logit_bias` is given too.
So `Llama.generate` is wrapped, once: the wrapper starts every call with its prompt and temperature, and re-raises
errors. Barred ids get a finite score instead of -inf: llama.cpp aborts the process if a grammar bars all other ids.
`llama_cpp.engine` has our own decoding loop, which writes a whole phrase in one decode.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from thinkpace.adapters.llama_cpp.vocabulary import file_key, find_markers, vocabulary_of
from thinkpace.adapters.logits.attribution import DrawAttribution
from thinkpace.adapters.logits.numpy_writer import BARRED_LOGIT, Logits, RowWriter
from thinkpace.adapters.logits.randomness import uniform
from thinkpace.adapters.logits.statistics import row_statistic
from thinkpace.adapters.sequences.requests import completion
from thinkpace.adapters.sequences.sequence_log import SequenceLog
from thinkpace.engine import Completion, Request
from thinkpace.errors import MissingExtra, NoLegalToken, UnsupportedControl
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.edit import KEEP
from thinkpace.processors.core.program import Program, compile_program
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import Vocabulary
from thinkpace.types import Receipt

try:
    from llama_cpp import Llama, LogitsProcessorList
except ModuleNotFoundError as error:
    raise MissingExtra("the llama.cpp adapter", "llama-cpp") from error


class ThinkpaceProcessor:
    """Applies a program to successive `generate` calls. Made by `logits_processors`.

    Args:
        program: gives the program for a limit on output tokens.
        limit: the `max_tokens` of the calls; None for what the context leaves.
        model: key of the GGUF file the program was compiled for, from `file_key`.
        seed: for attribution, combined with the seed of the call.
    """

    def __init__(
        self, program: Callable[[int], Program], limit: int | None, model: tuple[str, int, int], seed: int
    ) -> None:
        self._program = program
        self._limit = limit
        self.model = model
        self.seed = seed
        self.log: SequenceLog | None = None  # of the last call
        self._error: BaseException | None = None
        self._asked = False  # whether the edit of the next token was applied
        self._unused = np.array([], dtype=np.int64)
        self._writer = RowWriter(1.0, BARRED_LOGIT)

    def begin(self, prompt: Sequence[int], temperature: float, seed: int, context_tokens: int) -> None:
        """Start a new call, which has its own seed.

        Raises:
            UnsupportedControl: if what the prompt leaves of the context is not enough.
        """
        room = context_tokens - len(prompt)
        program = self._program(max(1, room if self._limit is None else min(room, self._limit)))
        self.log = SequenceLog(program, tuple(prompt), (self.seed << 32) + seed)
        self._unused = np.array(sorted(program.unused), dtype=np.int64)
        self._error = None
        self._asked = False
        if self._writer.temperature != temperature:
            self._writer = RowWriter(temperature, BARRED_LOGIT)

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Apply the edit of the next token.

        Args:
            input_ids: int32[tokens], prompt and output so far.
            scores: float32[vocabulary], a view that is changed in place.
        """
        if self._error is None:
            try:
                self._apply(len(input_ids), np.asarray(scores))
            except BaseException as error:  # noqa: BLE001  # the caller is C: `took` raises it later
                self._error = error
        return scores

    def _apply(self, length: int, row: Logits) -> None:
        log = self.log
        if log is None or length != len(log.prompt) + len(log.tokens):
            raise UnsupportedControl(_OUTSIDE)
        self._asked = True
        row[self._unused] = BARRED_LOGIT
        if log.wants:
            whole = row.astype(np.float64)
            log.receive(
                {
                    need: uniform(log.seed, len(log.tokens), "control")
                    if need.kind == "uniform"
                    else row_statistic(whole, need.kind, log.close_ids)
                    for need in log.wants
                }
            )
        edit = log.edit
        if edit is KEEP:
            return
        seen = self._writer.write(row, edit)
        if seen is not None:
            log.record_row(DrawAttribution(seen, self._writer.temperature, log.seed), kept=1)

    def check(self) -> None:
        """Raise the error that `__call__` stored, if any."""
        if self._error is not None:
            raise self._error

    def took(self, token: int) -> None:
        """Record the token that was generated.

        Raises:
            NoLegalToken: if the controls had barred it.
            UnsupportedControl: if the controls did not see its logits.
        """
        self.check()
        log = self.log
        assert log is not None  # a call has begun
        if not self._asked:
            raise UnsupportedControl("a token came without these controls: another processor failed before them")
        self._asked = False
        edit = log.edit
        barred = token in edit.dropped or (edit.only is not None and token not in edit.kept | edit.merged.keys())
        if barred and not log.pending:
            raise NoLegalToken(
                f"token {token} came, which controls had barred: a grammar, a bias or another processor left nothing "
                "that they allow"
            )
        log.advance(token)


class LlamaLogitsProcessors(LogitsProcessorList):  # type: ignore[misc]  # the library is untyped
    """The `logits_processor` argument of `Llama(...)`, with the receipt of the last call."""

    def __init__(self, processor: ThinkpaceProcessor, vocabulary: Vocabulary, max_new_tokens: int | None) -> None:
        super().__init__([processor])
        self._processor = processor
        self._vocabulary = vocabulary
        self._max_new_tokens = max_new_tokens

    def extend(self, others: Any) -> Any:
        """A new list, `others` then ours. The library uses the return value; its own `extend` returns nothing."""
        return LogitsProcessorList([*others, *self])

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Always raises: the library uses the list itself, and would not find it inside another list."""
        raise UnsupportedControl(_NESTED)

    def receipt(self, output: Any = None) -> Receipt:
        """The receipt of the last call; see `completion`."""
        return self._finished(output).receipt()

    def completion(self, output: Any = None) -> Completion:
        """The last call as a completion: thinking, answer, the kind of every token, and the receipt.

        Args:
            output: what that call returned, if it was not a stream. Without it, and without `max_new_tokens`, a token
                that was drawn and then left out of the text may be counted.

        Raises:
            UnsupportedControl: if there was no call.
        """
        log = self._finished(output)
        made = completion(log, Request(log.prompt, max_new_tokens=max(1, len(log.tokens))), self._vocabulary)
        at_a_stop = isinstance(output, Mapping) and output["choices"][0].get("finish_reason") == "stop"
        return replace(made, finish_reason="stop") if at_a_stop else made

    def _finished(self, output: Any) -> SequenceLog:
        self._processor.check()
        log = self._processor.log
        if log is None:
            raise UnsupportedControl("no call was made with these controls")
        length = len(log.tokens)
        if isinstance(output, Mapping):
            reported = int(output["usage"]["completion_tokens"])
            ends = length > reported and log.tokens[reported] in log.program.tracker.eos
            length = min(length, reported + ends)
        elif self._max_new_tokens is not None:
            length = min(length, self._max_new_tokens)
        copy = log.fork()
        copy.rewind(length)
        return copy


def logits_processors(
    llama: Any,
    *controls: Control,
    max_new_tokens: int | None = None,
    markers: Markers | None = None,
    seed: int = 0,
) -> LlamaLogitsProcessors:
    """Controls for a `llama_cpp.Llama`: `Llama(...)`, `create_completion`, `create_chat_completion`, streams.

    Can be combined with `logit_bias`, with a grammar (tokens it refuses are recorded as divergences), with penalties
    and with every sampler, but not with a draft model. For successive calls, not for two calls at the same time, which
    a `Llama` cannot do either.

    Args:
        llama: the object on which the calls are made; `Llama.generate` is wrapped.
        controls: in order.
        max_new_tokens: the `max_tokens` of the calls, so that room for an answer is reserved inside it. None: inside
            what each prompt leaves of the context.
        markers: the model's thinking markers. Default: found in the chat template.
        seed: for the random choice whether a "Wait" was the model's own, combined with the seed of the call; greedy
            decoding needs none.

    Raises:
        UnsupportedControl: if a control cannot work with this model; ValueError for invalid numbers.
    """
    if not isinstance(llama, Llama):
        raise TypeError(f"logits_processors takes a llama_cpp.Llama first, got {llama!r}")
    strangers = [control for control in controls if not isinstance(control, Control)]
    if strangers:
        raise TypeError(f"logits_processors takes controls one by one, such as ThinkBudget(512), got {strangers[0]!r}")
    _refuse_drafts(llama)
    if any("trial" in control.statistics for control in controls):
        raise UnsupportedControl(
            "a control needs a fork for trial answers, which a logits processor cannot make: use LlamaCppEngine, or "
            "another rule of ConfidenceExit"
        )
    vocabulary = vocabulary_of(llama.model_path)
    found = find_markers(vocabulary.file, markers)

    @functools.lru_cache(maxsize=8)
    def program(limit: int) -> Program:
        return compile_program(controls, vocabulary, found, max_new_tokens=limit, context_tokens=llama.n_ctx())

    program(min(llama.n_ctx(), max_new_tokens or llama.n_ctx()))  # raises if a control can never work here
    _wrap_generate()
    return LlamaLogitsProcessors(
        ThinkpaceProcessor(program, max_new_tokens, file_key(llama.model_path), seed), vocabulary, max_new_tokens
    )


def _refuse_drafts(llama: Any) -> None:
    if llama.draft_model is not None:
        raise UnsupportedControl(
            "with a draft model llama-cpp-python shows processors tokens that are not yet decided: make the Llama "
            "without draft_model"
        )


def _wrap_generate() -> None:
    """Wrap `Llama.generate` so that our processors learn when a call begins and which tokens were generated.

    Calls without our processors are unchanged.
    """
    original = Llama.generate
    if hasattr(original, "__wrapped_by_thinkpace__"):
        return

    signature = inspect.signature(original)

    @functools.wraps(original)
    def generate(llama: Any, tokens: Sequence[int], *args: Any, **kwargs: Any) -> Iterator[int]:
        call = signature.bind(llama, tokens, *args, **kwargs)
        call.apply_defaults()
        given = call.arguments["logits_processor"] or ()
        if any(isinstance(item, LlamaLogitsProcessors) for item in given):
            raise UnsupportedControl(_NESTED)
        ours = [item for item in given if isinstance(item, ThinkpaceProcessor)]
        if not ours:
            unchanged: Iterator[int] = original(llama, tokens, *args, **kwargs)
            return unchanged
        if ours[0].model != file_key(llama.model_path):
            raise UnsupportedControl("these controls were made for another Llama: call logits_processors for this one")
        if len(ours) > 1:
            raise UnsupportedControl("two lists of controls in one call: give all controls to one logits_processors")
        _refuse_drafts(llama)
        temperature = float(call.arguments["temp"])
        if call.arguments["mirostat_mode"] or temperature < 0:
            temperature = 1.0  # both sample from unscaled scores
        _grow_ids(llama)
        ours[0].begin(tokens, temperature, int(getattr(llama, "_seed", 0)), llama.n_ctx())
        return _followed(ours[0], original(llama, tokens, *args, **kwargs))

    generate.__wrapped_by_thinkpace__ = True  # type: ignore[attr-defined]  # marks the wrapper
    Llama.generate = generate


def _grow_ids(llama: Any) -> None:
    """Give the library's array of ids the size of its context, which llama.cpp rounds up to a multiple of 256.

    Otherwise ids beyond the requested size are lost, and processors see too few (llama-cpp-python 0.3.36).
    """
    missing = llama.n_ctx() - len(llama.input_ids)
    if missing > 0:
        llama.input_ids = np.concatenate([llama.input_ids, np.zeros(missing, dtype=llama.input_ids.dtype)])


def _followed(processor: ThinkpaceProcessor, tokens: Any) -> Generator[int, Any, None]:
    try:
        token = next(tokens)
        while True:
            processor.took(token)
            token = tokens.send((yield token))
    except StopIteration:
        return
    finally:
        tokens.close()


_NESTED = "pass what logits_processors returned itself as logits_processor, not inside another list"

_OUTSIDE = (
    "these controls were called outside of the generate of the Llama that they were made for: pass them to that "
    "object's own methods"
)
