"""Hugging Face `generate`: controls as logits processors.

    processors = logits_processors(tokenizer, BudgetForcing(max_tokens=512, waits=1), temperature=0.6)
    output = model.generate(**inputs, do_sample=True, temperature=0.6, logits_processor=processors)
    processors.receipts(output)

`generate` gives a processor nothing but padded ids and scores. The state of every row is kept by its tokens, so rows
may be finished, reordered (beams), rolled back (assisted generation, prompt lookup) or started anew (a second call).
"""

from __future__ import annotations

import functools
import hashlib
import warnings
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from thinkpace.errors import MissingExtra, UnsupportedControl

try:
    import torch
    from transformers import GenerationMixin, LogitsProcessor, LogitsProcessorList
except ModuleNotFoundError as error:
    raise MissingExtra("the Hugging Face adapter", "hf") from error

from thinkpace.adapters._hf_scores import ScoreWriter, SeenScores, measured
from thinkpace.adapters._rows import Evidence, uniform
from thinkpace.adapters._slots import KEPT, SequenceLog, Slots, common
from thinkpace.adapters.hf_vocabulary import HFVocabulary, find_markers
from thinkpace.processors.base import Control, Need
from thinkpace.processors.edit import KEEP
from thinkpace.processors.markers import Markers
from thinkpace.processors.program import Program, Told, compile_program
from thinkpace.types import Receipt


class Trials(Protocol):
    """Tries answers at a fork: the second engine that a plain logits processor does not have."""

    def __call__(self, logs: Sequence[SequenceLog], needs: Sequence[Need]) -> list[float]:
        """For each log, the number that its need of kind "trial" asks for; counts the tokens in the log."""
        ...


class ThinkpaceLogitsProcessor(LogitsProcessor):
    """Applies programs to the rows of one `generate` call after another.

    Args:
        programs: of one vocabulary. For row i of a batch of B rows, program i * len(programs) // B: one for all, one
            per prompt (also with `num_return_sequences`), or one per row.
        pad_token_id: of the tokenizer, stripped from the left of prompts; None if there is none.
        temperature: that the scores will be sampled at; 0 for greedy and beams.
        seeds: for drawing where a moved token came from: one per row; or one number, from which each row of each call
            gets its own; or None to take it from the state of torch's generator at the start of a call, so that
            `torch.manual_seed` settles this as it settles the sampling (nothing is drawn from that generator).
        trials: what tries answers, for controls that need it; None if nothing can.
        beams: as in `ScoreWriter`.
    """

    #: continuous batching shows a processor the last token only: no state can be kept there
    supports_continuous_batching = False

    def __init__(
        self,
        programs: Sequence[Program],
        pad_token_id: int | None,
        temperature: float,
        seeds: Sequence[int] | int | None = None,
        trials: Trials | None = None,
        beams: bool = True,
    ) -> None:
        self.programs = tuple(programs)
        self.pad_token_id = pad_token_id
        self.temperature = temperature
        self.seeds = seeds
        self.trials = trials
        self.started = 0  # calls of `generate` so far
        self.calls = 0
        self._writer = ScoreWriter(programs[0].size, temperature, programs[0].unused, beams=beams)
        self.reset()

    def reset(self) -> None:
        """Forget the last call.

        A new call is recognised by its ids. Call this before a prompt that could be mistaken for the last call going
        on: one that is a prompt of the last call with one more token, or goes on from an output that was cut off.
        """
        self._width = 0  # of the padded prompt
        self._scores_width = 0
        self._prompts: list[list[int]] = []  # padded, per row
        self._logs: list[SequenceLog] = []  # per row
        self._last: torch.Tensor | None = None
        self._longest = 0  # ids of a row that have been seen in this call
        # beams that were dropped: (prompt, tokens) -> what was told along them
        self._past: dict[tuple[tuple[int, ...], tuple[int, ...]], Told] = {}

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Bring every row to its tokens, then write all edits at once.

        Args:
            input_ids: Long[batch, length], prompts padded on the left.
            scores: Float[batch, vocabulary], changed in place.
        """
        self.calls += 1
        self._check_width(scores.shape[1])
        self._device = input_ids.device
        self._follow(input_ids)
        self._last, self._scores_width = input_ids, scores.shape[1]
        self._longest = max(self._longest, input_ids.shape[1])
        self._writer.clear(scores)
        wanting = [row for row, log in enumerate(self._logs) if log.needs]
        if wanting:
            self._inform(wanting, scores)
        edits = [(row, edit) for row, log in enumerate(self._logs) if (edit := log.edit) is not KEEP]
        gathered = self._writer.write(scores, edits)
        if gathered is not None:
            kept = KEPT if len(self._logs) == 1 else 1  # drafts are of one row; others never go back
            for place, (row, edit) in enumerate(edits):
                if edit.moved_onto or edit.redraw:
                    log = self._logs[row]
                    log.saw(Evidence(SeenScores(gathered, place, row), self.temperature, log.seed), kept=kept)
        return scores

    def _inform(self, rows: list[int], scores: torch.Tensor) -> None:
        """Give the logs of these rows the numbers that they need."""
        numbers: dict[int, dict[Need, float]] = {row: {} for row in rows}
        wanted: dict[Need, list[int]] = {}
        for row in rows:
            for need in self._logs[row].needs:
                wanted.setdefault(need, []).append(row)
        for need, members in wanted.items():
            logs = [self._logs[row] for row in members]
            if need.kind == "uniform":
                found = [uniform(log.seed, len(log.tokens), "control") for log in logs]
            elif need.kind == "trial":
                if self.trials is None:
                    raise UnsupportedControl(_NO_TRIALS)
                found = self.trials(logs, [need] * len(logs))
            else:
                found = measured(scores[members], need.kind, [log.closes for log in logs])
            for row, number in zip(members, found, strict=True):
                numbers[row][need] = number
        for row in rows:
            self._logs[row].inform(numbers[row])

    def _check_width(self, width: int) -> None:
        if width < self._writer.size or (self._last is not None and width != self._scores_width):
            raise UnsupportedControl(
                f"scores of {width} ids are not of this tokenizer ({self._writer.size}) or not of this call's model: "
                "assisted generation needs a draft model of the same vocabulary (not universal assisted decoding); "
                "between two models call reset()"
            )

    def receipts(self, sequences: Any = None) -> list[Receipt]:
        """What was done to each row.

        Args:
            sequences: what `generate` returned: Long[rows, length], or its output object with `.sequences`. Without it
                the last token of each row is missing from the counts, since `generate` shows it to no processor, and
                beams are in the order of the last step.

        Raises:
            UnsupportedControl: if the processor was never called, as under continuous batching.
            ValueError: if `sequences` is not the output of the last call.
        """
        return [log.receipt() for log in self.logs(sequences)]

    def logs(self, sequences: Any = None) -> list[SequenceLog]:
        """The rows themselves, as `receipts` counts them."""
        if not self.calls:
            raise UnsupportedControl(_NEVER_CALLED)
        if sequences is None:
            return self._logs
        ids_of_rows: torch.Tensor = getattr(sequences, "sequences", sequences)
        out = []
        for row, ids in enumerate(ids_of_rows.tolist()):
            log = self._nearest(ids, row)
            log.sync(_until_end(ids[self._width :], log.program))
            out.append(log)
        return out

    def _nearest(self, ids: list[int], row: int) -> SequenceLog:
        """A log of the sequence's own, with all that is known of what was drawn along it."""
        prompt, tokens = ids[: self._width], ids[self._width :]
        candidates = [log for log, own in zip(self._logs, self._prompts, strict=True) if own == prompt]
        if not candidates:
            raise ValueError(f"row {row} does not begin with a prompt of the last call: pass what that call returned")
        if row < len(self._prompts) and self._prompts[row] == prompt:
            candidates.insert(0, self._logs[row])
        log = max(candidates, key=lambda log: common(log.tokens, tokens)).fork()
        own = [(past, told) for (of, past), told in self._past.items() if of == log.prompt]
        known, told = max(own, key=lambda one: common(one[0], tokens), default=((), Told()))
        shared = common(known, tokens)
        if shared > common(log.tokens, tokens):
            log.rewind(0)
            log.drawn.update({at: origin for at, origin in told.drawn.items() if at < shared})
            log.numbers.update({at: numbers for at, numbers in told.numbers.items() if at <= shared})
        return log

    def _follow(self, input_ids: torch.Tensor) -> None:
        last = self._last
        if last is None or input_ids.shape != (last.shape[0], last.shape[1] + 1) or self._all_ended():
            self._catch_up(input_ids.tolist())
            return
        newest = _newest(input_ids, last)
        if newest is None:
            self._catch_up(input_ids.tolist())
            return
        for log, token in zip(self._logs, newest, strict=True):
            if not log.ended:
                log.advance(token)

    def _all_ended(self) -> bool:
        """Whether `generate` must have stopped: then the next call is a new one."""
        return all(log.ended for log in self._logs)

    def _catch_up(self, rows: list[list[int]]) -> None:
        """Rows are not last time's with one more token: they were reordered, rolled back, or are new.

        Rows go back in drafts only, which are of one row, and never go on by more than one id that was not seen.
        """
        length, seen = len(rows[0]), self._longest
        may_go_on = self._width < length <= seen + 1 and (len(rows) == 1 or length == seen + 1)
        sources = self._sources(rows) if may_go_on and len(rows) == len(self._logs) else None
        if sources is None:
            self._start(rows)
            return
        for row in set(range(len(rows))) - set(sources):
            log = self._logs[row]
            if log.drawn or log.numbers:
                self._past[log.prompt, tuple(log.tokens)] = Told(dict(log.drawn), dict(log.numbers))
        slots = Slots(self._logs)
        slots.reorder(sources)  # forks are made before any log moves on
        self._logs = [log for _, log in slots.items()]
        for log, ids in zip(self._logs, rows, strict=True):
            log.sync(_until_end(ids[self._width :], log.program))

    def _sources(self, rows: list[list[int]]) -> list[int] | None:
        """The row that each row continues; None if one continues none of them."""
        width, out = self._width, list[int]()
        for row, ids in enumerate(rows):
            prompt, tokens = ids[:width], ids[width:]
            body = _until_end(tokens, self.programs[0])
            if len(set(tokens[len(body) :])) > 1:  # after the end there is nothing but padding
                return None
            same_row_first = [row, *range(row), *range(row + 1, len(rows))]
            # all but the newest token must have been seen: no call was missed
            found = (
                other
                for other in same_row_first
                if self._prompts[other] == prompt and common(self._logs[other].tokens, body) >= len(body) - 1
            )
            source = next(found, None)
            if source is None:
                return None
            out.append(source)
        return out

    def _start(self, rows: list[list[int]]) -> None:
        count = len(rows)
        if len(self.programs) > count or count % len(self.programs):
            raise UnsupportedControl(
                f"{len(self.programs)} lists of controls do not fit {count} rows: give one per prompt or row"
            )
        self.reset()
        self._width = len(rows[0])
        self._prompts = rows
        seeds = self._row_seeds(count)
        self.started += 1
        for row, ids in enumerate(rows):
            pads = 0
            while pads < len(ids) - 1 and ids[pads] == self.pad_token_id:
                pads += 1
            program = self.programs[row * len(self.programs) // count]
            self._logs.append(SequenceLog(program, tuple(ids[pads:]), seeds[row]))

    def _row_seeds(self, count: int) -> Sequence[int]:
        if self.seeds is None:
            kind = self._device.type  # each kind of device draws from a generator of its own
            device: Any = torch if kind == "cpu" else getattr(torch, kind)
            state = device.get_rng_state(*([self._device] if kind in ("cuda", "xpu") else []))
            base = state.numpy().tobytes()
        elif isinstance(self.seeds, int):
            base = f"{self.seeds}/{self.started}".encode()
        elif len(self.seeds) == count:
            return self.seeds
        else:
            raise UnsupportedControl(f"{len(self.seeds)} seeds do not fit {count} rows: give one per row")
        digest = hashlib.blake2b(base, digest_size=8).digest()
        return [int.from_bytes(digest, "little") + row for row in range(count)]


class ThinkpaceLogitsProcessorList(LogitsProcessorList):
    """What `model.generate(..., logits_processor=...)` takes, with the receipts of the last call."""

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
    """Controls as what `model.generate(..., logits_processor=...)` takes.

    Works for greedy decoding, sampling, left-padded batches, `num_return_sequences`, beam search, assisted generation,
    prompt lookup and streaming, and in one call after another; not for two calls at the same time. Scores are edited
    in place, so `output_logits=True` shows them edited.

    Args:
        tokenizer: the model's.
        controls: for every row, in order.
        temperature: the one `generate` samples at: 0 for greedy decoding and beam search. `generate` does not tell a
            processor, and `waits` are exact only if it is right; None takes 1, with a warning where it matters.
        max_new_tokens: the one given to `generate`, so that room for an answer is kept inside it.
        context_tokens: how many tokens the model can hold, for controls that take a share of it.
        per_row: instead of `controls`: one list of controls per prompt, or per row.
        markers: of the model's thinking. Default: found from the chat template.
        eos_token_ids: further ids that end a sequence: give those of `model.generation_config` if it has several.
        seed: for drawing whether a "Wait" was the model's own; greedy decoding draws nothing. None: from the state of
            torch's generator, so that `torch.manual_seed` settles it.
        beams: False if you do not search with beams: while a phrase is written, one score of the row is changed
            instead of all, which is many times faster.

    Raises:
        UnsupportedControl: if a control cannot work with this tokenizer; ValueError for bad numbers.
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
    markers = markers or find_markers(tokenizer)
    compiled = {
        row: compile_program(row, vocabulary, markers, max_new_tokens=max_new_tokens, context_tokens=context_tokens)
        for row in dict.fromkeys(lists)
    }
    if any("trial" in control.needs for row in lists for control in row):
        raise UnsupportedControl(_NO_TRIALS)
    _refuse_continuous_batching()
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    processor = ThinkpaceLogitsProcessor([compiled[row] for row in lists], pad, temperature, seed, beams=beams)
    return ThinkpaceLogitsProcessorList(processor)


_NO_TRIALS = (
    "a control tries answers at a fork, which a logits processor alone cannot: use HFEngine, or another rule of "
    "ConfidenceExit"
)

_NEVER_CALLED = (
    "generate never called these controls: continuous batching (generate_batch, cache_implementation='paged') ignores "
    "logits processors; call model.generate without it"
)


def _refuse_continuous_batching() -> None:
    """Make `generate_batch` refuse our processors, which it would take and silently ignore (transformers 5.19)."""
    original = GenerationMixin.generate_batch
    if hasattr(original, "__wrapped_by_thinkpace__"):
        return

    @functools.wraps(original)
    def generate_batch(self: Any, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(p, ThinkpaceLogitsProcessor) for p in kwargs.get("logits_processor") or ()):
            raise UnsupportedControl("generate_batch ignores logits processors: use model.generate for these controls")
        return original(self, *args, **kwargs)

    generate_batch.__wrapped_by_thinkpace__ = True  # type: ignore[attr-defined]  # a mark of our own
    GenerationMixin.generate_batch = generate_batch  # type: ignore[method-assign]  # the point of this function


def _newest(input_ids: torch.Tensor, last: torch.Tensor) -> list[int] | None:
    """The last id of every row if the rest is what it was, else None; copies one thing from the device."""
    if input_ids.device.type == "cpu":  # small arrays: numpy is quicker than tensors
        ids = input_ids.numpy()
        return ids[:, -1].tolist() if np.array_equal(ids[:, :-1], last.numpy()) else None
    same = (input_ids[:, :-1] == last).all()
    newest: list[int] = torch.cat((input_ids[:, -1], same.long().unsqueeze(0))).tolist()
    return newest[:-1] if newest[-1] else None


def _until_end(tokens: list[int], program: Program) -> list[int]:
    """The tokens up to and with the end of the sequence; what follows is padding."""
    for i, token in enumerate(tokens):
        if token in program.tracker.eos:
            return tokens[: i + 1]
    return tokens
