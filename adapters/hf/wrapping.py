"""Wraps `generate`, so that our processors learn what it does not tell them, and calls that ignore them are refused.

A logits processor sees padded ids and scores. It does not see the attention mask, what stopped a row, whether beams are
searched, or that a call passes no processor on. Calls without our processors are unchanged (transformers 5.19).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from transformers import GenerationMixin, StoppingCriteria, StoppingCriteriaList
from transformers.generation.stopping_criteria import StopStringCriteria

from thinkpace.errors import UnsupportedControl


@runtime_checkable
class Follower(Protocol):
    """What the wrapper needs of a processor."""

    beams: bool
    prompt_decides: bool
    ends: frozenset[int]

    def begin(self, attention_mask: torch.Tensor | None) -> None:
        """A call begins."""
        ...

    def stop(self, stopped: torch.Tensor, length: int) -> None:
        """Rows were stopped."""
        ...


class StopWatch(StoppingCriteria):
    """Stops rows as other criteria do, and tells a processor which rows they stopped.

    Args:
        criteria: the criteria.
        processor: the processor.
    """

    def __init__(self, criteria: StoppingCriteriaList, processor: Follower) -> None:
        self._criteria = criteria
        self._processor = processor

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        stopped: torch.Tensor = self._criteria(input_ids, scores, **kwargs)
        self._processor.stop(stopped, input_ids.shape[1])
        return stopped


def wrap_generation() -> None:
    """Wrap `GenerationMixin.generate` and `generate_batch`, once."""
    if hasattr(GenerationMixin.generate, "__wrapped_by_thinkpace__"):
        return
    generate, generate_batch = GenerationMixin.generate, GenerationMixin.generate_batch
    signature = inspect.signature(generate)
    running = set[int]()  # processors of the calls that are under way

    @functools.wraps(generate)
    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = signature.bind(self, *args, **kwargs)
        found = [p for p in call.arguments.get("logits_processor") or () if isinstance(p, Follower)]
        ours = [p for p in found if id(p) not in running]  # assisted generation calls the draft model's with them
        if not ours:
            return generate(self, *args, **kwargs)
        given = dict(call.arguments.get("kwargs", {}))
        settings = _Settings(given, call.arguments.get("generation_config"), self.generation_config)
        for processor in ours:
            _check(processor, self, call.arguments, given, settings)
            processor.begin(given.get("attention_mask"))
        criteria = StoppingCriteriaList(call.arguments.get("stopping_criteria") or ())
        if (stops := settings["stop_strings"]) is not None and given.get("tokenizer") is not None:
            criteria.append(StopStringCriteria(stop_strings=stops, tokenizer=given["tokenizer"]))
        if criteria and not settings.beams:
            call.arguments["stopping_criteria"] = StoppingCriteriaList([StopWatch(criteria, p) for p in ours])
        running.update(map(id, ours))
        try:
            return generate(*call.args, **call.kwargs)
        finally:
            running.difference_update(map(id, ours))

    @functools.wraps(generate_batch)
    def refusing(self: Any, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(p, Follower) for p in kwargs.get("logits_processor") or ()):
            raise UnsupportedControl("generate_batch ignores logits processors: use model.generate for these controls")
        return generate_batch(self, *args, **kwargs)

    watched.__wrapped_by_thinkpace__ = True  # type: ignore[attr-defined]  # marks the wrapper
    GenerationMixin.generate = watched  # type: ignore[method-assign]  # the point of this function
    GenerationMixin.generate_batch = refusing  # type: ignore[method-assign]  # likewise


class _Settings:
    """The settings of a call: its own, else those of its generation config, else the model's."""

    def __init__(self, given: Mapping[str, Any], *configs: Any) -> None:
        self._given = given
        self._configs = [config for config in configs if config is not None]

    def __getitem__(self, name: str) -> Any:
        if self._given.get(name) is not None:
            return self._given[name]
        return next((v for config in self._configs if (v := getattr(config, name, None)) is not None), None)

    @property
    def beams(self) -> bool:
        return (self["num_beams"] or 1) > 1


def _check(
    processor: Follower, model: Any, arguments: Mapping[str, Any], given: Mapping[str, Any], settings: _Settings
) -> None:
    """Refuse a call in which the controls could not act.

    Raises:
        UnsupportedControl: saying what to do.
    """
    if settings["cache_implementation"] == "paged":
        raise UnsupportedControl(
            "cache_implementation='paged' is continuous batching, which ignores logits processors: leave it out"
        )
    if settings.beams and not processor.beams:
        raise UnsupportedControl(
            "these controls were made with beams=False, and num_beams > 1 searches beams: leave out the former"
        )
    if "eos_token_id" in given:
        ids = given["eos_token_id"]
        stops = set() if ids is None else {int(i) for i in torch.as_tensor(ids).reshape(-1)}
        if missing := sorted(processor.ends - stops):
            raise UnsupportedControl(
                f"generate(eos_token_id={ids!r}) goes on after {missing}, where the controls see the end of the "
                "sequence: leave it out"
            )
    if not processor.prompt_decides:
        return
    known = "pass markers=Markers(open, close, opened_by_prompt=True), or False, to logits_processors"
    if getattr(model.config, "is_encoder_decoder", False):
        raise UnsupportedControl(f"an encoder-decoder model shows no prompt that could open thinking: {known}")
    inputs = arguments.get("inputs") if arguments.get("inputs") is not None else given.get("input_ids")
    if given.get("inputs_embeds") is not None and (inputs is None or inputs.shape[-1] == 0):
        raise UnsupportedControl(
            f"generate(inputs_embeds=...) shows no ids of the prompt, which may have opened thinking: {known}, or pass "
            "input_ids too"
        )
