"""A served model as the controls see it: vocabulary, markers, context; the same in the frontend and in the workers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from thinkpace.adapters.sequences.sequence_log import SequenceLog
from thinkpace.adapters.vllm.native_budget import check_native, native_texts
from thinkpace.adapters.vllm.terms import KEY, WireRequest
from thinkpace.adapters.vocabularies.hf import HFVocabulary, find_markers
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.core.program import Program, compile_program
from thinkpace.processors.core.replay import DrawHistory
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import TokenIds

_PROGRAMS = 512  # that are kept
NO_FORKS = "a control tries answers at a fork, which this engine has no room for: use another rule of ConfidenceExit"


def replayed(program: Program, prompt: Sequence[int], tokens: Sequence[int], history: DrawHistory) -> SequenceLog:
    """The sequence that a worker has seen, from what it said and noted.

    Args:
        program: that it was under.
        prompt: ids.
        tokens: ids of the output.
        history: from the notes.
    """
    log = SequenceLog(program, tuple(prompt))
    log.drawn.update(history.drawn)
    log.statistics.update(history.statistics)
    if log.wants and 0 in history.statistics:
        log.receive(history.statistics[0])
    log.sync(tokens)
    return log


class ServedModel:
    """What programs are compiled for.

    Args:
        tokenizer: the model's, as transformers has it.
        eos_token_ids: of its generation config.
        context_tokens: that the engine holds of one sequence.
        markers: of its thinking; None to find them in the chat template.
        native: the ids that vLLM's own budget takes for the opening and the close of thinking, where plain hard caps
            are left to it.

    Raises:
        ValueError: if `native` is given, and no cap could ever be left to it.
    """

    def __init__(
        self,
        tokenizer: Any,
        eos_token_ids: tuple[int, ...] = (),
        context_tokens: int | None = None,
        markers: Markers | None = None,
        native: tuple[TokenIds, TokenIds] | None = None,
    ) -> None:
        self.vocabulary = HFVocabulary(tokenizer, eos_token_ids)
        self.context_tokens = context_tokens
        self.given = markers
        self._tokenizer = tokenizer
        self.native = native
        if native is not None:
            check_native(self.markers, self.vocabulary, *native)
        self.program = functools.lru_cache(_PROGRAMS)(self._program)

    @classmethod
    def of(cls, vllm_config: Any, markers: Markers | None = None, native_caps: bool = False) -> ServedModel:
        """That of an engine's configuration.

        Args:
            vllm_config: its `additional_config` may hold the markers and `native_caps` under "thinkpace".
            markers: instead of these.
            native_caps: whether plain hard caps are left to vLLM's own budget.

        Raises:
            ValueError: if it is not understood.
        """
        from vllm.tokenizers import cached_tokenizer_from_config

        config = vllm_config.model_config
        eos = (config.try_get_generation_config() or {}).get("eos_token_id")
        told = vllm_config.additional_config
        told = told.get(KEY, {}) if isinstance(told, dict) else {}
        if not isinstance(told, dict) or set(told) - {"open", "close", "forced_close", "native_caps"}:
            raise ValueError(f"additional_config.{KEY} takes open, close, forced_close and native_caps, got {told!r}")
        given = {name: text for name, text in told.items() if name != "native_caps"}
        return cls(
            cached_tokenizer_from_config(config),
            () if eos is None else (eos,) if isinstance(eos, int) else tuple(eos),
            config.max_model_len,
            markers or (Markers(**given) if given else None),
            native_texts(vllm_config) if native_caps or told.get("native_caps") else None,
        )

    @functools.cached_property
    def markers(self) -> Markers:
        """Of its thinking.

        Raises:
            UnsupportedControl: if they cannot be found.
        """
        return self.given or find_markers(self._tokenizer)

    def _program(self, terms: WireRequest, max_tokens: int | None) -> Program:
        """What a request asks for, compiled.

        Args:
            terms: of the request.
            max_tokens: its limit on output tokens.

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
