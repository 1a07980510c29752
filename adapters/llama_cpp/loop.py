"""The decoding loop over a llama.cpp context: many sequences, one decode a step, written phrases in a single one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from thinkpace.adapters.llama_cpp.native import Candidates, Context, Feed, Logits, Sampler
from thinkpace.adapters.logits.attribution import DrawAttribution
from thinkpace.adapters.logits.draw_then_edit import draw_then_edit
from thinkpace.adapters.logits.numpy_writer import RowWriter
from thinkpace.adapters.logits.randomness import uniform
from thinkpace.adapters.logits.statistics import confidence, row_statistic
from thinkpace.adapters.sequences.sequence_log import SequenceLog, common
from thinkpace.engine import Request
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.core.decisions import RowStatistic
from thinkpace.processors.core.edit import KEEP
from thinkpace.processors.text.vocabulary import TokenIds

TRIAL_CELLS = 512  # tokens of a trial at most, its suffix included
SHARED = 8  # a prompt waits for another one that is being read if so many more tokens of it can be shared


@dataclass(eq=False, slots=True)
class Job:
    """One sequence that is to be generated.

    Args:
        request: what is asked for.
        log: its sequence.
        sampler: of its own random numbers.
        writer: at its temperature.
        feed: tokens that are known and not yet decoded.
        slot: where it is decoded; -1 while it waits and after it is done.
        start: when it was made.
        times: when each of its tokens came, in seconds since it was submitted.
        done: whether nothing more comes.
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
    done: bool = False
    error: Exception | None = None

    def take(self, token: int) -> None:
        """One more token."""
        self.log.advance(token)
        self.feed.append(token)
        self.times.append(time.perf_counter() - self.start)

    @property
    def known(self) -> TokenIds:
        """What is read before anything is generated: the prompt, and what is there of the output."""
        return self.request.prompt + self.request.continue_from

    @property
    def cells(self) -> int:
        """The memory that it may come to need, in tokens."""
        return len(self.request.prompt) + self.request.max_new_tokens


class Loop:
    """Sequences that are decoded together: they come and go, each at its own place. Safe to use from several threads.

    A sequence that is done stays in memory until its place is needed: a prompt that begins like it, or like one that
    is being generated, is not read again.

    Args:
        context: with one sequence more than are generated at once, for trials.
        parallel: sequences at once.
        cells: tokens that they hold together, trials excluded.
        unused: ids that never come.
        rewinds: whether beginnings can be shared.
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
        self._held: list[list[int]] = [[] for _ in range(parallel)]  # tokens in memory, per place
        self._lock = threading.RLock()
        self.candidates = Candidates(context.width)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Let them wait for a place."""
        with self._lock:
            self._waiting.extend(jobs)

    def cancel(self, job: Job) -> None:
        """Nothing more comes of it; its place is free."""
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)
            self._end(job)

    def close(self) -> None:
        """Give the memory back, after the step that is under way."""
        with self._lock:
            self._context.close()

    def step(self) -> list[Job]:
        """One decode of everything that is under way.

        Returns:
            The jobs that have new tokens, or ended.

        Raises:
            RuntimeError: if llama.cpp fails; the jobs that were under way fail with it.
        """
        with self._lock:
            self._context.check_open()
            begun = self._admit()
            feeds = self._feeds()
            if not feeds:
                return begun
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
                assert fed is not None  # nothing ends while the lock is held
                self._held[feed.sequence] += feed.tokens
                del fed.feed[: len(feed.tokens)]
                if feed.wanted:
                    ready.append((fed, rows[len(ready)]))
            # a trial decodes, which overwrites the rows: it comes after all others, on a copy
            tries = [any(need.kind == "trial" for need in job.log.wants) for job, _ in ready]
            late = [(job, row.copy()) for (job, row), trying in zip(ready, tries, strict=True) if trying]
            prompt = [pair for pair, trying in zip(ready, tries, strict=True) if not trying]
            for job, row in prompt + late:
                self._guarded(job, partial(self._choose, job, row))
            return begun + [job for job, _ in ready]

    def _feeds(self) -> list[Feed]:
        """What goes into the next decode: sequences that are generating before prompts that are being read."""
        room, feeds = self._context.batch, list[Feed]()
        for job in sorted((job for job in self._jobs if job is not None), key=lambda job: len(job.feed)):
            part = job.feed[:room]
            if part:
                room -= len(part)
                feeds.append(Feed(job.slot, part, len(self._held[job.slot]), len(part) == len(job.feed)))
        return feeds

    def _admit(self) -> list[Job]:
        """Give jobs that wait a place and memory, in their order; those that ended at once are returned."""
        begun = []
        for job in [*self._waiting]:
            free = [slot for slot, other in enumerate(self._jobs) if other is None]
            active = sum(other.cells for other in self._jobs if other is not None)
            if not free or active + job.cells > self._cells:
                break
            prompt = job.known
            most = len(prompt) - 1  # the last one is read for its logits
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
                begun.append(job)
        return begun

    def _place(self, free: Sequence[int], source: int, shared: int) -> int:
        """Where a prompt goes: onto the sequence that it goes on from, else where the least is lost."""
        if source in free and shared and shared == len(self._held[source]):
            return source
        others = [slot for slot in free if slot != source] or free
        return min(others, key=lambda slot: len(self._held[slot]))

    def _comes(self, prompt: Sequence[int], shared: int) -> bool:
        """Whether more of the prompt will soon be in memory, since another one is being read."""
        if not self._rewinds:
            return False
        reading = [
            job.known
            for job in self._jobs
            if job is not None and len(job.log.tokens) == len(job.request.continue_from) and job.feed
        ]
        return any(min(len(prompt) - 1, common(other, prompt)) >= shared + SHARED for other in reading)

    def _make_room(self, room: int, slot: int) -> None:
        """Forget sequences that are done, the longest first, until the rest fit into `room`."""
        idle = [i for i, job in enumerate(self._jobs) if job is None and i != slot]
        for i in sorted(idle, key=lambda i: -len(self._held[i])):
            if sum(len(self._held[j]) for j in idle) <= room:
                return
            self._forget(i)

    def _forget(self, slot: int) -> None:
        self._context.cut(slot, 0)
        self._held[slot] = []

    def _choose(self, job: Job, row: Logits) -> None:
        """The next token of a sequence, and what is written after it."""
        log = job.log
        row[self._unused] = -np.inf
        if log.wants:
            log.receive({need: self._number(job, need, row) for need in log.wants})
        if not log.pending:
            job.take(self._drawn(job, row))
        self._write(job)

    def _write(self, job: Job) -> None:
        """Take what comes for certain, which needs no logits."""
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
            # filters are meant to see the edited row, as they do elsewhere: what is moved counts together
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
        """Answer greedily after a copy of the sequence and a suffix."""
        if len(need.suffix) + need.max_tokens > TRIAL_CELLS:
            raise UnsupportedControl(
                f"a trial of {len(need.suffix)} and {need.max_tokens} tokens is more than the {TRIAL_CELLS} kept for it"
            )
        log, sequence = job.log, len(self._jobs)
        at = len(self._held[job.slot])
        self._context.cut(sequence, 0)  # what a failed trial may have left
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
        """Whatever goes wrong with one sequence ends that one alone."""
        try:
            act()
        except Exception as error:  # noqa: BLE001  # it is raised by `completion`, to the one who asked
            self._fail(job, error)

    def _fail(self, job: Job, error: Exception) -> None:
        job.error = error
        self._end(job)

    def _end(self, job: Job) -> None:
        if job.slot >= 0:
            self._jobs[job.slot] = None
        job.slot, job.done = -1, True
