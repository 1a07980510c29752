"""The engine protocol over Hugging Face `generate`: batched, with a seed per sample."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from thinkpace.errors import MissingExtra

try:
    import torch
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        GenerationConfig,
        LogitsProcessor,
        LogitsProcessorList,
        MinPLogitsWarper,
        PreTrainedModel,
        StoppingCriteria,
        StoppingCriteriaList,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )
except ModuleNotFoundError as error:
    raise MissingExtra("the Hugging Face adapter", "hf") from error

from thinkpace.adapters.hf.logits_processor import ThinkpaceLogitsProcessor
from thinkpace.adapters.hf.prefix_cache import shared_cache
from thinkpace.adapters.logits.randomness import token_use, uniform
from thinkpace.adapters.logits.statistics import confidence
from thinkpace.adapters.logits.torch_writer import ScoreWriter
from thinkpace.adapters.sequences.requests import begin, compile_requests, completion, is_done
from thinkpace.adapters.sequences.sequence_log import SequenceLog
from thinkpace.adapters.vocabularies.hf import HFVocabulary, find_markers
from thinkpace.adapters.vocabularies.hf_files import gguf_of
from thinkpace.engine import Completion, Request, Sampling
from thinkpace.processors.core.decisions import RowStatistic
from thinkpace.processors.core.program import Program
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import TokenIds


class HFEngine:
    """Generates with a transformers model. Implements `Engine`.

    Sampling uses inverse transform with random numbers that depend only on the request's seed and the position, so a
    row's result does not depend on its neighbours (beyond the rounding of batched matrix products).

    Args:
        model: a causal language model, already on its device.
        tokenizer: the model's.
        markers: the model's thinking markers. Default: found in the chat template.
        batch_size: rows per `generate` call, at least 1.
        name: the engine's name in journals. Default: the model's `name_or_path`.

    Raises:
        UnsupportedControl: if the markers cannot be found.
    """

    can_continue = True
    takes_back = True

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Any,
        *,
        markers: Markers | None = None,
        batch_size: int = 64,
        name: str = "",
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, got {batch_size}")
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.markers = find_markers(tokenizer, markers)
        self.batch_size = batch_size
        self.name = name or f"hf:{model.name_or_path}"
        self._use_cache = model.generation_config.use_cache
        eos = model.generation_config.eos_token_id
        self.vocabulary = HFVocabulary(tokenizer, () if eos is None else eos if isinstance(eos, list) else (eos,))
        self._pad = (
            tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(self.vocabulary.eos, default=0)
        )

    @classmethod
    def from_path(cls, path: str | Path, **arguments: Any) -> HFEngine:
        """Load a model and its tokenizer from a folder, a name on the hub, or a GGUF file, which is dequantised.

        Args:
            path: the folder, name or file.
            arguments: as in the class.

        Raises:
            MissingExtra: for a GGUF file, without gguf and accelerate.
            OSError: if there is no such model.
        """
        where, file = gguf_of(path)
        tokenizer = AutoTokenizer.from_pretrained(where, padding_side="left", **file)
        model = AutoModelForCausalLM.from_pretrained(where, **file)
        return cls(model, tokenizer, **{"name": f"hf:{file['gguf_file']}", **arguments} if file else arguments)

    @property
    def identity(self) -> str:
        """Hash of the first values of every weight and of the chat template; tells models of the same name apart."""
        digest = hashlib.blake2b(str(self.tokenizer.chat_template).encode(), digest_size=8)
        for name, weight in self.model.named_parameters():
            some = weight.detach().flatten()[:64].float().cpu().numpy().tobytes()
            digest.update(name.encode() + some)
        return digest.hexdigest()

    def chat(
        self, messages: Sequence[dict[str, str]], template_arguments: Mapping[str, object] | None = None
    ) -> TokenIds:
        return self.vocabulary.chat(messages, template_arguments)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion per request, in their order.

        Args:
            requests: any mixture; requests with the same sampling and limit are batched together.

        Raises:
            UnsupportedControl: before anything is generated, if a control cannot work here or a prompt is too long.
        """
        programs = compile_requests(requests, self.vocabulary, self.markers, self.context_tokens, takes_back=True)
        groups: dict[tuple[Sampling, int, bool], list[int]] = {}
        out: dict[int, Completion] = {}
        for i, request in enumerate(requests):
            log = begin(programs[i], request)
            if is_done(log, request):
                out[i] = completion(log, request, self.vocabulary)
            else:
                groups.setdefault((request.sampling, request.max_new_tokens, bool(request.continue_from)), []).append(i)
        for members in groups.values():
            # sorted: similar lengths need the least padding; a shared prefix is computed once
            members.sort(key=lambda i: (len(requests[i].prompt), requests[i].prompt, len(requests[i].continue_from)))
            for start in range(0, len(members), self.batch_size):
                batch = members[start : start + self.batch_size]
                completions = self._batch([requests[i] for i in batch], [programs[i] for i in batch])
                out.update(zip(batch, completions, strict=True))
        return [out[i] for i in range(len(requests))]

    @property
    def context_tokens(self) -> int | None:
        """The model's context length in tokens; None if unknown."""
        return getattr(self.model.config, "max_position_embeddings", None)

    @contextlib.contextmanager
    def _plain_generation(self) -> Iterator[None]:
        """Temporarily replace the model's generation config, so that only the request determines sampling.

        Otherwise `generate` would fill in unset options from it, such as a repetition penalty or a time limit.
        """
        saved, self.model.generation_config = self.model.generation_config, GenerationConfig(use_cache=self._use_cache)
        try:
            yield
        finally:
            self.model.generation_config = saved

    def _batch(self, requests: list[Request], programs: list[Program]) -> list[Completion]:
        """Completions of one batch. A row whose close is to be taken back stops, and goes on in another call."""
        done: dict[int, Completion] = {}
        reread = [0] * len(requests)
        pending = dict(enumerate(requests))
        while pending:
            # a marker at the very beginning leaves no output to continue from
            continues = bool(pending[min(pending)].continue_from)
            rows = [row for row, request in pending.items() if bool(request.continue_from) is continues]
            logs, times = self._logs([pending[row] for row in rows], [programs[row] for row in rows])
            for row, log in zip(rows, logs, strict=True):
                request = pending.pop(row)
                if log.take_back is None:
                    made = completion(log, request, self.vocabulary, times if request is requests[row] else ())
                    done[row] = _reread(made, reread[row])
                    continue
                log.retract()
                reread[row] += len(log.prompt) + len(log.tokens)
                pending[row] = replace(request, continue_from=tuple(log.tokens), history=log.history)
        return [done[row] for row in range(len(requests))]

    @torch.inference_mode()
    def _logs(self, requests: list[Request], programs: list[Program]) -> tuple[list[SequenceLog], list[float]]:
        """The sequences of one `generate` call, and the times of its steps."""
        sampling = requests[0].sampling
        rows = [request.prompt + request.continue_from for request in requests]
        ids, mask = self._padded(rows)
        seeds = [request.seed for request in requests]
        left = [request.max_new_tokens - len(request.continue_from) for request in requests]
        goes_on = any(request.continue_from or request.history.taken_back for request in requests)
        continued = [begin(p, r) for p, r in zip(programs, requests, strict=True)] if goes_on else []
        retractions = [sum(map(len, request.history.taken_back.values())) for request in requests]
        processor = ThinkpaceLogitsProcessor(
            programs, self._pad, sampling.temperature, seeds, self._try_answers, beams=False, continued=continued
        )
        processors = LogitsProcessorList([processor])
        if sampling.temperature > 0:
            starts = [ids.shape[1] - len(request.continue_from) for request in requests]
            processors.append(_SeededSampler(sampling, seeds, starts, [token_use(count) for count in retractions]))
        clock = _Clock()
        processors.append(clock)
        limits = StoppingCriteriaList([_OwnLimits(left, ids.shape[1])] if len(set(left)) > 1 else [])
        ends = [frozenset(ids[-1] for ids in program.takes_back) for program in programs]
        if any(ends):
            limits.append(_TakesBack(processor, ends))
        with self._plain_generation():
            cache = shared_cache(self.model, rows, self._padded) if continued and self._use_cache is not False else None
            sequences = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                logits_processor=processors,
                max_new_tokens=max(left),
                stopping_criteria=limits,
                do_sample=False,  # the sampler above draws, with a seed per row
                pad_token_id=self._pad,
                eos_token_id=sorted(self.vocabulary.eos) or None,
                **({} if cache is None else {"past_key_values": cache}),
            )
        logs = processor.logs(sequences)
        for log, request in zip(logs, requests, strict=True):
            log.rewind(min(len(log.tokens), request.max_new_tokens))  # tokens past the row's own limit are padding
        return logs, clock.times

    def _try_answers(self, logs: Sequence[SequenceLog], needs: Sequence[RowStatistic]) -> list[float]:
        """Run greedy trials after each sequence and its suffix, in a nested `generate` call."""
        prompts = [(*log.prompt, *log.tokens, *need.suffix) for log, need in zip(logs, needs, strict=True)]
        ids, mask = self._padded(prompts)
        out = self.model.generate(
            input_ids=ids,
            attention_mask=mask,
            logits_processor=LogitsProcessorList(
                [_Barred(ScoreWriter(self.vocabulary.size, 0.0, self.vocabulary.unused))]
            ),
            max_new_tokens=max(need.max_tokens for need in needs),
            do_sample=False,
            pad_token_id=self._pad,
            eos_token_id=sorted(logs[0].program.ends_trials),
            output_logits=True,
            return_dict_in_generate=True,
        )
        generated = out.sequences[:, ids.shape[1] :]
        # (rows, steps): the log-probability of the token generated at each step
        log_probabilities = torch.stack(
            [
                torch.log_softmax(logits[:, : self.vocabulary.size].double(), 1).gather(1, generated[:, [step]])[:, 0]
                for step, logits in enumerate(out.logits)
            ],
            1,
        ).tolist()
        confidences = []
        for row, (log, tokens) in enumerate(zip(logs, generated.tolist(), strict=True)):
            length = next((i + 1 for i, token in enumerate(tokens) if token in log.program.ends_trials), len(tokens))
            log.trials = (log.trials[0] + length, log.trials[1] + len(prompts[row]))
            confidences.append(confidence(log_probabilities[row][:length]))
        return confidences

    def _padded(self, prompts: Sequence[TokenIds]) -> tuple[torch.Tensor, torch.Tensor]:
        """Left-padded ids of the prompts and their attention mask, each Long[rows, longest]."""
        width, device = max(map(len, prompts)), self.model.device
        ids = [[self._pad] * (width - len(prompt)) + list(prompt) for prompt in prompts]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _reread(done: Completion, tokens: int) -> Completion:
    """The completion, with the tokens that were read again to continue after a close was taken back."""
    if not tokens:
        return done
    usage = replace(done.receipt.usage, reread=done.receipt.usage.reread + tokens)
    return replace(done, receipt=replace(done.receipt, usage=usage))


def set_threads(threads: int) -> None:
    """Let torch use this many threads of the CPU."""
    torch.set_num_threads(threads)


class _Barred(LogitsProcessor):
    """Sets the scores of unused ids to -inf."""

    supports_continuous_batching = False

    def __init__(self, writer: ScoreWriter) -> None:
        self._writer = writer

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        self._writer.clear(scores)
        return scores


class _Clock(LogitsProcessor):
    """Records the time of each step, in seconds since construction."""

    supports_continuous_batching = False

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.times: list[float] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        self.times.append(time.perf_counter() - self._start)
        return scores


class _OwnLimits(StoppingCriteria):
    """Ends each row at its own token limit."""

    def __init__(self, limits: Sequence[int], width: int) -> None:
        self._ends = torch.tensor(limits) + width

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return (self._ends <= input_ids.shape[1]).to(input_ids.device)


class _TakesBack(StoppingCriteria):
    """Stops the rows in which the model has just written a close that is to be taken back.

    Args:
        processor: knows the rows.
        ends: per row, the last tokens of the closes that can be taken back.
    """

    def __init__(self, processor: ThinkpaceLogitsProcessor, ends: Sequence[frozenset[int]]) -> None:
        self._processor = processor
        self._ends = ends

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        newest = input_ids[:, -1].tolist()
        stopped = [
            token in ends and self._processor.would_take_back(row, token)
            for row, (token, ends) in enumerate(zip(newest, self._ends, strict=True))
        ]
        return torch.tensor(stopped, device=input_ids.device)


class _SeededSampler(LogitsProcessor):
    """Leaves one token per row: sampled at the temperature, after the filters, with the row's own random numbers."""

    supports_continuous_batching = False

    def __init__(self, sampling: Sampling, seeds: Sequence[int], starts: Sequence[int], uses: Sequence[str]) -> None:
        self.temperature = sampling.temperature
        self.seeds = seeds
        self.starts = starts  # where the output of each row begins
        self.uses = uses  # what its random numbers are for
        self.warpers: list[LogitsProcessor] = []
        if sampling.top_k:
            self.warpers.append(TopKLogitsWarper(sampling.top_k))
        if sampling.top_p < 1:
            self.warpers.append(TopPLogitsWarper(sampling.top_p))
        if sampling.min_p > 0:
            self.warpers.append(MinPLogitsWarper(sampling.min_p))

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        scores = scores / self.temperature  # type: ignore[assignment]  # dtype does not change
        for warper in self.warpers:
            scores = warper(input_ids, scores)
        share = torch.softmax(scores.double(), 1).cumsum(1)  # (batch, vocabulary)
        length = input_ids.shape[1]
        rows = zip(self.seeds, self.starts, self.uses, strict=True)
        numbers = [uniform(seed, length - start, use) for seed, start, use in rows]
        u = torch.tensor(numbers, device=scores.device, dtype=torch.float64)
        tokens = torch.searchsorted(share, (u * share[:, -1]).unsqueeze(1), right=True)
        tokens.clamp_(max=scores.shape[1] - 1)  # u just below 1 may round up to the vocabulary size
        return torch.full_like(scores, -torch.inf).scatter_(1, tokens, 0.0)  # type: ignore[return-value]  # float in, float out
