"""The decoding loop over a llama.cpp context: many sequences per decode, and whole phrases written in one decode."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from thinkpace.adapters.llama_cpp.adjustment import Adjustment
from thinkpace.adapters.llama_cpp.native import Candidates, Context, Feed, Logits, Sampler
from thinkpace.adapters.logits.attribution import DrawAttribution
from thinkpace.adapters.logits.draw_then_edit import draw_then_edit
from thinkpace.adapters.logits.numpy_writer import RowWriter
from thinkpace.adapters.logits.randomness import uniform
from thinkpace.adapters.logits.statistics import confidence, log_probabilities, row_statistic
from thinkpace.adapters.sequences.sequence_log import SequenceLog, common
from thinkpace.engine import Request
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.core.decisions import RowStatistic
from thinkpace.processors.core.edit import KEEP
from thinkpace.processors.text.vocabulary import TokenIds

TRIAL_CELLS = 512  # maximum length of a trial in tokens, suffix included
SHARED = 8  # a prompt waits for one being read if that lets it share this many more tokens


class TokenLogprobs(NamedTuple):
    """Log-probabilities of the model at one place of the output, at temperature 1, before any control."""

    chosen: float  #: of the token that is there
    likeliest: tuple[tuple[int, float], ...]  #: (id, log-probability), the likeliest first


@dataclass(eq=False, slots=True)
class Job:
    """One sequence to generate.

    Args:
        request: the request.
        log: its sequence.
        sampler: with its own random generator.
        writer: writes edits at the request's temperature.
        feed: tokens that are not decoded yet.
        slot: slot in the context; -1 while it waits and after it is done.
        start: creation time.
        times: time of each generated token, in seconds since `start`.
        adjustment: biases and penalties of the client; None for none.
        top: how many of the likeliest tokens to report with their log-probabilities; -1 reports nothing.
        logprobs: output index -> log-probabilities there. Tokens of a phrase after its first one have none.
        done: whether it has ended.
        error: what ended it, if it failed.
    """

    request: Request
    log: SequenceLog
    sampler: Sampler
    writer: RowWriter
    feed: list[int] = field(default_factory=list)
    slot: int = -1
    start: float = field(default_factory=time.perf_counter)
    times: list[float] = field(default_factory=list)
    adjustment: Adjustment | None = None
    top: int = -1
    logprobs: dict[int, TokenLogprobs] = field(default_factory=dict)
    done: bool = False
    error: Exception | None = None

    def take(self, token: int) -> None:
        """Append one token to the sequence."""
        self.log.advance(token)
        self.feed.append(token)
        self.times.append(time.perf_counter() - self.start)

    @property
    def known(self) -> TokenIds:
        """The tokens read before generation starts: the prompt and the output to continue."""
        return self.request.prompt + self.request.continue_from

    @property
    def cells(self) -> int:
        """The maximum memory that it may need, in tokens."""
        return len(self.request.prompt) + self.request.max_new_tokens


class Loop:
    """Decodes many sequences together, each in its own slot. Safe to use from several threads.

    A finished sequence stays in memory until its slot is needed: a prompt that shares a prefix with it, or with a
    sequence being generated, does not read that prefix again.

    Args:
        context: with one sequence more than `parallel`, for trials.
        parallel: number of sequences generated at once.
        cells: tokens that they hold together, trials excluded.
        unused: ids that are never generated.
        rewinds: whether prefixes can be shared.
    """

    def __init__(
        self, context: Context, *, parallel: int, cells: int, unused: Sequence[int], rewinds: bool = True
    ) -> None:
        self._context = context
        self._cells = cells
        self._rewinds = rewinds
        self._unused = np.array([*unused], dtype=np.int64)
        self._waiting: deque[Job] = deque()
        self._jobs: list[Job | None] = [None] * parallel
        self._held: list[list[int]] = [[] for _ in range(parallel)]  # tokens in memory, per slot
        self._lock = threading.RLock()
        self.candidates = Candidates(context.width)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue jobs until slots are free."""
        with self._lock:
            self._waiting.extend(jobs)

    def cancel(self, job: Job) -> None:
        """Stop a job and free its slot."""
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)
            self._end(job)

    def close(self) -> None:
        """Free the memory of the context, after the current step."""
        with self._lock:
            self._context.close()

    def step(self) -> list[Job]:
        """Run one decode of all active sequences.

        Returns:
            The jobs that have new tokens, or ended.

        Raises:
            RuntimeError: if llama.cpp fails; all active jobs fail with it.
        """
        with self._lock:
            self._context.check_open()
            ended = self._admit()
            feeds = self._feeds()
            if not feeds:
                return ended
            try:
                rows = self._context.decode(feeds)
            except RuntimeError as error:
                for job in [job for job in self._jobs if job is not None]:
                    self._forget(job.slot)
                    self._fail(job, error)
                raise
            ready: list[tuple[Job, Logits]] = []
            for feed in feeds:
                fed = self._jobs[feed.sequence]
                assert fed is not None  # no job ends while the lock is held
                self._held[feed.sequence] += feed.tokens
                del fed.feed[: len(feed.tokens)]
                if feed.wanted:
                    ready.append((fed, rows[len(ready)]))
            # a trial decodes and overwrites the rows, so jobs with trials come last and use copies
            tries = [any(need.kind == "trial" for need in job.log.wants) for job, _ in ready]
            late = [(job, row.copy()) for (job, row), trying in zip(ready, tries, strict=True) if trying]
            prompt = [pair for pair, trying in zip(ready, tries, strict=True) if not trying]
            for job, row in prompt + late:
                self._guarded(job, partial(self._choose, job, row))
            return ended + [job for job, _ in ready]

    def _feeds(self) -> list[Feed]:
        """The tokens of the next decode: generating sequences first, then prompts that are being read."""
        room, feeds = self._context.batch, list[Feed]()
        for job in sorted((job for job in self._jobs if job is not None), key=lambda job: len(job.feed)):
            part = job.feed[:room]
            if part:
                room -= len(part)
                feeds.append(Feed(job.slot, part, len(self._held[job.slot]), len(part) == len(job.feed)))
        return feeds

    def _admit(self) -> list[Job]:
        """Give waiting jobs a slot and memory, in order; returns the jobs that ended at once."""
        ended = []
        for job in [*self._waiting]:
            free = [slot for slot, other in enumerate(self._jobs) if other is None]
            active = sum(other.cells for other in self._jobs if other is not None)
            if not free or active + job.cells > self._cells:
                break
            prompt = job.known
            most = len(prompt) - 1  # the last token is always read, for its logits
            shared = [min(most, common(held, prompt)) if self._rewinds else 0 for held in self._held]
            source = max(range(len(shared)), key=lambda slot: (shared[slot], slot in free))
            if self._comes(prompt, shared[source]):
                continue
            self._waiting.remove(job)
            slot = self._place(free, source, shared[source])
            if slot == source and self._context.cut(slot, shared[source]):
                del self._held[slot][shared[source] :]
            else:
                self._forget(slot)
                if shared[source] and slot != source:
                    self._context.copy(source, slot, shared[source])
                    self._held[slot] = list(prompt[: shared[source]])
            self._make_room(self._cells - active - job.cells, slot)
            job.slot, self._jobs[slot] = slot, job
            job.feed = list(prompt[len(self._held[slot]) :])
            self._guarded(job, partial(self._write, job))
            if job.done:
                ended.append(job)
        return ended

    def _place(self, free: Sequence[int], source: int, shared: int) -> int:
        """The slot for a prompt: that of a sequence it fully extends, else the free one with the fewest tokens."""
        if source in free and shared and shared == len(self._held[source]):
            return source
        others = [slot for slot in free if slot != source] or free
        return min(others, key=lambda slot: len(self._held[slot]))

    def _comes(self, prompt: Sequence[int], shared: int) -> bool:
        """Whether a prompt that is being read will soon provide a longer shared prefix."""
        if not self._rewinds:
            return False
        reading = [
            job.known
            for job in self._jobs
            if job is not None and len(job.log.tokens) == len(job.request.continue_from) and job.feed
        ]
        return any(min(len(prompt) - 1, common(other, prompt)) >= shared + SHARED for other in reading)

    def _make_room(self, room: int, slot: int) -> None:
        """Drop finished sequences, longest first, until the rest fit into `room` tokens."""
        idle = [i for i, job in enumerate(self._jobs) if job is None and i != slot]
        for i in sorted(idle, key=lambda i: -len(self._held[i])):
            if sum(len(self._held[j]) for j in idle) <= room:
                return
            self._forget(i)

    def _forget(self, slot: int) -> None:
        self._context.cut(slot, 0)
        self._held[slot] = []

    def _choose(self, job: Job, row: Logits) -> None:
        """Choose the next token of a sequence, and append the tokens that are certain after it."""
        log = job.log
        row[self._unused] = -np.inf
        if job.adjustment is not None:
            job.adjustment.apply(row, log.tokens)
        logs = log_probabilities(row) if job.top >= 0 else None
        if log.wants:
            log.receive({need: self._number(job, need, row) for need in log.wants})
        at = len(log.tokens)
        if not log.pending:
            job.take(self._drawn(job, row))
        if log.take_back is not None:
            self._take_back(job)
        self._write(job)
        if logs is not None and at < len(log.tokens):
            best = np.argsort(-logs, kind="stable")[: job.top]
            likeliest = tuple((int(i), float(logs[i])) for i in best)
            job.logprobs[at] = TokenLogprobs(float(logs[log.tokens[at]]), likeliest)

    def _take_back(self, job: Job) -> None:
        """Take back a closing marker: out of the sequence, and out of memory."""
        log, slot = job.log, job.slot
        taken = log.retract()
        del job.times[len(job.times) - taken :]
        for at in [at for at in job.logprobs if at >= len(log.tokens)]:
            del job.logprobs[at]
        kept = [*log.prompt, *log.tokens]
        held = min(len(self._held[slot]), len(kept) - 1)  # the last one is read again, for its logits
        self._context.cut(slot, held)
        del self._held[slot][held:]
        job.feed[:] = kept[held:]

    def _write(self, job: Job) -> None:
        """Append the tokens that are certain; they need no logits."""
        log, limit = job.log, job.request.max_new_tokens
        while not log.ended and len(log.tokens) < limit and (pending := log.pending):
            for token in pending[: limit - len(log.tokens)]:
                job.take(token)
        if log.ended or len(log.tokens) == limit:
            self._end(job)

    def _drawn(self, job: Job, row: Logits) -> int:
        edit = job.log.edit
        if edit is KEEP:
            return job.sampler.draw(row)
        if job.request.sampling.filters:
            # filters must see the edited row, as in other engines, so that merged probability counts as one
            temperature = job.request.sampling.temperature
            seen = job.writer.write(row, edit)
            if seen is not None:
                job.log.record_row(DrawAttribution(seen, temperature, job.log.seed), kept=1)
            return job.sampler.draw(row) if edit.forced is None else edit.forced
        drawn, token = draw_then_edit(row, edit, job.sampler.draw)
        if drawn != token:
            job.log.record_row(lambda _edit, _token, _at: drawn, kept=1)
        return token

    def _number(self, job: Job, need: RowStatistic, row: Logits) -> float:
        log = job.log
        if need.kind == "uniform":
            return uniform(log.seed, len(log.tokens), "control")
        if need.kind == "trial":
            return self._tried(job, need)
        return row_statistic(row, need.kind, log.close_ids)

    def _tried(self, job: Job, need: RowStatistic) -> float:
        """Run a greedy trial on a copy of the sequence, after the suffix."""
        if len(need.suffix) + need.max_tokens > TRIAL_CELLS:
            raise UnsupportedControl(
                f"a trial of {len(need.suffix)} and {need.max_tokens} tokens is more than the {TRIAL_CELLS} kept for it"
            )
        log, sequence = job.log, len(self._jobs)
        at = len(self._held[job.slot])
        self._context.cut(sequence, 0)  # a failed trial may have left tokens
        self._context.copy(job.slot, sequence, at)
        feed, logs = list(need.suffix), list[float]()
        while len(logs) < need.max_tokens:
            for start in range(0, len(feed), self._context.batch):
                part = feed[start : start + self._context.batch]
                rows = self._context.decode([Feed(sequence, part, at)])
                at += len(part)
            row = rows[0].astype(np.float64)
            row[self._unused] = -np.inf
            token = int(row.argmax())
            logs.append(float(row[token] - row.max() - np.log(np.exp(row - row.max()).sum())))
            feed = [token]
            if token in log.program.ends_trials:
                break
        self._context.cut(sequence, 0)
        generated, read = log.trials
        log.trials = (generated + len(logs), read + len(need.suffix))
        return confidence(logs)

    def _guarded(self, job: Job, act: Callable[[], None]) -> None:
        """Run `act`; an error ends this sequence only."""
        try:
            act()
        except Exception as error:  # noqa: BLE001  # `completion` raises it for the caller
            self._fail(job, error)

    def _fail(self, job: Job, error: Exception) -> None:
        job.error = error
        self._end(job)

    def _end(self, job: Job) -> None:
        if job.slot >= 0:
            self._jobs[job.slot] = None
        job.slot, job.done = -1, True
