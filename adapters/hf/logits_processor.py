"""Hugging Face `generate`: controls as logits processors.

    processors = logits_processors(tokenizer, BudgetForcing(max_tokens=512, waits=1), temperature=0.6)
    output = model.generate(**inputs, do_sample=True, temperature=0.6, logits_processor=processors)
    processors.receipts(output)

`generate` passes a processor only padded ids and scores: `hf.rows` derives from the ids which sequence each row holds,
and `logits.torch_writer` writes the edits.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from thinkpace.errors import MissingExtra, UnsupportedControl

try:
    import torch
    from transformers import LogitsProcessor, LogitsProcessorList
except ModuleNotFoundError as error:
    raise MissingExtra("the Hugging Face adapter", "hf") from error

from thinkpace.adapters.hf.rows import Rows
from thinkpace.adapters.hf.wrapping import wrap_generation
from thinkpace.adapters.logits.attribution import DrawAttribution
from thinkpace.adapters.logits.torch_statistics import NO_TRIALS, Trials, row_statistics
from thinkpace.adapters.logits.torch_writer import ScoreWriter, TorchSnapshot
from thinkpace.adapters.sequences.sequence_log import SequenceLog
from thinkpace.adapters.vocabularies.hf import HFVocabulary, find_markers
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.program import Program, compile_program
from thinkpace.processors.text.markers import Markers
from thinkpace.types import Receipt


class ThinkpaceLogitsProcessor(LogitsProcessor):
    """Applies programs to the rows of successive `generate` calls.

    Args:
        programs: all for one vocabulary. Row i of a batch of B rows uses program i * len(programs) // B: pass one for
            all rows, one per prompt (also with `num_return_sequences`), or one per row.
        pad_token_id: the tokenizer's; stripped from the left of prompts. None if there is none.
        temperature: the temperature at which the scores are sampled; 0 for greedy and beams.
        seeds: for attribution. One per row; or one number, from which each row of each call derives its own; or None to
            derive them from the state of torch's generator at the start of a call, so that `torch.manual_seed`
            determines them as well as the sampling (nothing is drawn from that generator).
        trials: runs trials, for controls that need them; None if they are not available.
        beams: as in `ScoreWriter`.
        continued: as in `Rows`.
    """

    #: continuous batching passes a processor only the last token, so state cannot be tracked
    supports_continuous_batching = False

    def __init__(
        self,
        programs: Sequence[Program],
        pad_token_id: int | None,
        temperature: float,
        seeds: Sequence[int] | int | None = None,
        trials: Trials | None = None,
        beams: bool = True,
        continued: Sequence[SequenceLog] = (),
    ) -> None:
        wrap_generation()
        self.temperature = temperature
        self.trials = trials
        self.calls = 0
        self._rows = Rows(programs, pad_token_id, seeds, continued)
        self.beams = beams
        self.ends = programs[0].tracker.eos  #: ids at which a sequence ends for the controls
        self.prompt_decides = any(program.tracker.markers.opened_by_prompt is None for program in programs)
        self._writer = ScoreWriter(programs[0].size, temperature, programs[0].unused, beams=beams)
        self._scores_width = 0

    def begin(self, attention_mask: torch.Tensor | None) -> None:
        """A call of `generate` begins, whose prompts are padded as the mask says; None if it is not known."""
        self._scores_width = 0
        self._rows.begin(attention_mask)

    def stop(self, stopped: torch.Tensor, length: int) -> None:
        """Rows were stopped by something other than their end of sequence; `generate` pads them from now on.

        Args:
            stopped: Bool[rows].
            length: number of ids of each row, prompts included.
        """
        self._rows.stop(stopped, length)

    def would_take_back(self, row: int, token: int) -> bool:
        """Whether a row would ask for its close to be taken back once it has this token (`State.take_back`)."""
        log = self._rows.logs[row].fork()
        log.advance(token)
        return log.take_back is not None

    def reset(self) -> None:
        """Forget the last call.

        A new call is recognised by its ids. Call this before a prompt that could be mistaken for a continuation of the
        last call: a prompt of the last call with one more token, or one that continues an output that was cut off.
        """
        self._scores_width = 0
        self._rows.reset()

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Update every row from its ids, then write all edits at once.

        Args:
            input_ids: Long[batch, length], prompts padded on the left.
            scores: Float[batch, vocabulary], changed in place.
        """
        self.calls += 1
        self._check_width(scores.shape[1])
        self._rows.follow(input_ids)
        self._writer.clear(scores)
        if self._rows.wanting:
            asking = {row: (self._rows[row], self._rows[row].wants) for row in self._rows.wanting}
            self._rows.receive(row_statistics(asking, scores, self.trials))
        edits = self._rows.edits
        gathered = self._writer.write(scores, edits)
        if gathered is not None:
            for place, (row, edit) in enumerate(edits):
                if edit.moved_onto or edit.redraw:
                    seen = TorchSnapshot(gathered, place, row)
                    self._rows.record_row(row, DrawAttribution(seen, self.temperature, self._rows[row].seed))
        return scores

    def _check_width(self, width: int) -> None:
        if width < self._writer.size or self._scores_width not in (0, width):
            drafts = "assisted generation needs a draft model of the same vocabulary (not universal assisted decoding)"
            if self._scores_width:
                raise UnsupportedControl(
                    f"the scores have {width} ids, and those before them {self._scores_width}: {drafts}; between two "
                    "models call reset()"
                )
            raise UnsupportedControl(
                f"the scores have {width} ids, and this tokenizer {self._writer.size}: the embedding was not resized "
                "after tokens were added (model.resize_token_embeddings), or the tokenizer is another model's; and "
                + drafts
            )
        self._scores_width = width

    def receipts(self, sequences: Any = None) -> list[Receipt]:
        """The receipt of each row.

        Args:
            sequences: what `generate` returned: Long[rows, length], or its output object with `.sequences`. Without it,
                the counts lack the last token of each row, which `generate` passes to no processor, and beams are in
                the order of the last step.

        Raises:
            UnsupportedControl: if the processor was never called, as under continuous batching.
            ValueError: if `sequences` is not the output of the last call.
        """
        return [log.receipt() for log in self.logs(sequences)]

    def logs(self, sequences: Any = None) -> list[SequenceLog]:
        """The sequence logs of the rows; arguments and errors as for `receipts`."""
        if not self.calls:
            raise UnsupportedControl(_NEVER_CALLED)
        if sequences is None:
            return self._rows.logs
        return self._rows.of(getattr(sequences, "sequences", sequences))


class ThinkpaceLogitsProcessorList(LogitsProcessorList):
    """A list for `model.generate(..., logits_processor=...)`, with the receipts of the last call."""

    def __init__(self, processor: ThinkpaceLogitsProcessor) -> None:
        super().__init__([processor])

    def receipts(self, sequences: Any = None) -> list[Receipt]:
        """See `ThinkpaceLogitsProcessor.receipts`."""
        processor: ThinkpaceLogitsProcessor = self[0]
        return processor.receipts(sequences)

    def reset(self) -> None:
        """See `ThinkpaceLogitsProcessor.reset`."""
        self[0].reset()


def logits_processors(
    tokenizer: Any,
    *controls: Control,
    temperature: float | None = None,
    max_new_tokens: int | None = None,
    context_tokens: int | None = None,
    per_row: Sequence[Sequence[Control]] | None = None,
    markers: Markers | None = None,
    eos_token_ids: Sequence[int] = (),
    seed: int | None = None,
    beams: bool = True,
) -> ThinkpaceLogitsProcessorList:
    """Controls for `model.generate(..., logits_processor=...)`.

    Works for greedy decoding, sampling, left-padded batches, `num_return_sequences`, beam search, assisted generation,
    prompt lookup and streaming, and over successive calls; not for two calls at the same time. Scores are edited in
    place, so `output_logits=True` returns edited scores.

    Args:
        tokenizer: the model's.
        controls: for every row, in order.
        temperature: the temperature passed to `generate`; 0 for greedy decoding and beam search. `generate` does not
            pass it to processors, and `waits` are exact only if it is right. None means 1, with a warning where it
            matters.
        max_new_tokens: the value passed to `generate`, so that room for an answer is reserved inside it.
        context_tokens: the model's context length, for controls whose limit is a share of it.
        per_row: instead of `controls`: one list of controls per prompt, or per row.
        markers: the model's thinking markers. Default: found in the chat template.
        eos_token_ids: further ids that end a sequence: pass those of `model.generation_config` if it has several.
        seed: for the random choice whether a "Wait" was the model's own; greedy decoding needs none. None: derived from
            the state of torch's generator, so that `torch.manual_seed` determines it.
        beams: set False if you do not use beam search: while a phrase is written, one score of the row is changed
            instead of all, which is many times faster.

    Raises:
        UnsupportedControl: if a control cannot work with this tokenizer; ValueError for invalid numbers.
    """
    if per_row is not None and controls:
        raise ValueError("give controls for every row, or per_row, not both")
    if any(isinstance(row, Control) for row in per_row or ()):
        raise TypeError("per_row takes a list of controls per row, such as [[ThinkBudget(512)], []]")
    lists = [tuple(row) for row in per_row] if per_row is not None else [controls]
    if not lists:
        raise ValueError("per_row must hold at least one list of controls")
    if temperature is None:
        temperature = 1.0
        if any(control.moves_probability for row in lists for control in row):
            warnings.warn(
                "temperature was not given, so 1 is taken: for what moves probability (waits, limits of words and "
                "thoughts) to be exact pass temperature=0 for greedy decoding and beam search, or the one that "
                "generate samples at",
                stacklevel=2,
            )
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature must be >= 0 (0 is greedy), got {temperature}")
    vocabulary = HFVocabulary(tokenizer, eos_token_ids)
    markers = find_markers(tokenizer, markers)
    compiled = {
        row: compile_program(row, vocabulary, markers, max_new_tokens=max_new_tokens, context_tokens=context_tokens)
        for row in dict.fromkeys(lists)
    }
    if any("trial" in control.statistics for row in lists for control in row):
        raise UnsupportedControl(NO_TRIALS)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    processor = ThinkpaceLogitsProcessor([compiled[row] for row in lists], pad, temperature, seed, beams=beams)
    return ThinkpaceLogitsProcessorList(processor)


_NEVER_CALLED = (
    "generate never called these controls: continuous batching (generate_batch, cache_implementation='paged') ignores "
    "logits processors; call model.generate without it"
)
