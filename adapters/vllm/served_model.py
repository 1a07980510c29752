"""A served model as the controls see it: vocabulary, markers, context. Frontend and workers use the same class."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from thinkpace.adapters.sequences.sequence_log import SequenceLog
from thinkpace.adapters.vllm.native.budget import check_native, native_texts
from thinkpace.adapters.vllm.native.structured_outputs import Ends, reasoning_end, why_not
from thinkpace.adapters.vllm.terms import KEY, WireRequest
from thinkpace.adapters.vocabularies.hf import HFVocabulary, find_markers
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.program import Program, compile_program
from thinkpace.processors.core.replay import DrawHistory
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import TokenIds

if TYPE_CHECKING:
    from vllm import SamplingParams

_MARKERS = ("open", "close", "forced_close")
MARKERS_IN_REQUESTS = "markers_in_requests"
_PROGRAMS = 512  # size of the cache of compiled programs
NO_FORKS = "a control needs a fork for trial answers, which this engine cannot make: use another rule of ConfidenceExit"


def replayed(program: Program, prompt: Sequence[int], tokens: Sequence[int], history: DrawHistory) -> SequenceLog:
    """Rebuild a worker's sequence from its tokens and notes.

    Args:
        program: its controls, compiled.
        prompt: ids of the prompt.
        tokens: ids of the output.
        history: draws and statistics from the notes.
    """
    log = SequenceLog(program, tuple(prompt))
    log.drawn.update(history.drawn)
    log.statistics.update(history.statistics)
    if log.wants and 0 in history.statistics:
        log.receive(history.statistics[0])
    log.sync(tokens)
    return log


class ServedModel:
    """The model that programs are compiled for.

    Args:
        tokenizer: the model's transformers tokenizer.
        eos_token_ids: end-of-sequence ids of its generation config.
        context_tokens: maximum number of tokens of one sequence.
        markers: its thinking markers; None to find them in the chat template.
        native: the ids that vLLM's own budget recognizes as the opening and the close of thinking, if that budget
            enforces plain hard caps.
        markers_in_requests: whether requests bring their markers, so that the model needs none.
        ends: vLLM's rule for the end of reasoning, behind which it may apply a grammar; None without one.

    Raises:
        ValueError: if `native` is given, and vLLM's own budget could never enforce a cap.
    """

    def __init__(
        self,
        tokenizer: Any,
        eos_token_ids: tuple[int, ...] = (),
        context_tokens: int | None = None,
        markers: Markers | None = None,
        native: tuple[TokenIds, TokenIds] | None = None,
        markers_in_requests: bool = False,
        ends: Ends | None = None,
    ) -> None:
        self.vocabulary = HFVocabulary(tokenizer, eos_token_ids)
        self.context_tokens = context_tokens
        self.given = markers
        self._tokenizer = tokenizer
        self.native = native
        self._markers_in_requests = markers_in_requests
        self._ends = ends
        if native is not None:
            check_native(self.markers, self.vocabulary, *native)
        self.program = functools.lru_cache(_PROGRAMS)(self._program)

    @classmethod
    def of(cls, vllm_config: Any, markers: Markers | None = None, native_caps: bool = False) -> ServedModel:
        """The model of an engine's configuration.

        Args:
            vllm_config: its `additional_config` may hold the markers, `native_caps` and `markers_in_requests` under
                "thinkpace".
            markers: replace those of `vllm_config`.
            native_caps: whether vLLM's own budget enforces plain hard caps.

        Raises:
            ValueError: if `additional_config` is invalid, or `native_caps` could never apply.
        """
        from vllm.tokenizers import cached_tokenizer_from_config

        config = vllm_config.model_config
        eos = (config.try_get_generation_config() or {}).get("eos_token_id")
        settings = vllm_config.additional_config
        settings = settings.get(KEY, {}) if isinstance(settings, dict) else {}
        if not isinstance(settings, dict) or set(settings) - {*_MARKERS, "native_caps", MARKERS_IN_REQUESTS}:
            raise ValueError(
                f"additional_config.{KEY} takes {', '.join(_MARKERS)}, native_caps and {MARKERS_IN_REQUESTS}, "
                f"got {settings!r}"
            )
        given = {name: text for name, text in settings.items() if name in _MARKERS}
        tokenizer = cached_tokenizer_from_config(config)
        return cls(
            tokenizer,
            () if eos is None else (eos,) if isinstance(eos, int) else tuple(eos),
            config.max_model_len,
            markers or (Markers(**given) if given else None),
            native_texts(vllm_config) if native_caps or settings.get("native_caps") else None,
            bool(settings.get(MARKERS_IN_REQUESTS)),
            reasoning_end(vllm_config, tokenizer),
        )

    def check_markers(self) -> None:
        """Refuse to start a worker whose controls could not work in any request.

        Raises:
            ValueError: if no markers are known, and requests need not bring them.
        """
        if self._markers_in_requests:
            return
        try:
            self.markers  # noqa: B018  # reading it looks for them, and raises
        except UnsupportedControl as error:
            raise ValueError(
                f"{error}. vLLM: additional_config={{'{KEY}': {{'open': '<think>', 'close': '</think>'}}}}, or "
                f"{{'{KEY}': {{'{MARKERS_IN_REQUESTS}': True}}}} if every request brings its own"
            ) from None

    @functools.cached_property
    def markers(self) -> Markers:
        """The model's thinking markers.

        Raises:
            UnsupportedControl: if they cannot be found.
        """
        return find_markers(self._tokenizer, self.given)

    def no_structured_outputs(self, controls: tuple[Control, ...], program: Program) -> str | None:
        """Why vLLM's own structured outputs cannot go together with controls; None if they can."""
        reason = why_not(controls, program, self._ends)
        return None if reason is None else f"structured_outputs {reason}"

    def check_structured_outputs(self, params: SamplingParams, controls: tuple[Control, ...], program: Program) -> None:
        """Refuse a request whose structured outputs and controls cannot go together.

        Raises:
            UnsupportedControl: with the reason.
        """
        if params.structured_outputs is not None:
            reason = self.no_structured_outputs(controls, program)
            if reason is not None:
                raise UnsupportedControl(reason)

    def _program(self, terms: WireRequest, max_tokens: int | None) -> Program:
        """Compile the controls of a request.

        Args:
            terms: terms of the request.
            max_tokens: its limit on output tokens; None for no limit.

        Raises:
            UnsupportedControl: if a control cannot work here.
        """
        if any("trial" in control.statistics for control in terms.controls):
            raise UnsupportedControl(NO_FORKS)
        return compile_program(
            terms.controls,
            self.vocabulary,
            terms.markers or self.markers,
            max_new_tokens=max_tokens,
            context_tokens=self.context_tokens,
        )
