"""Sweeps of a scripted engine, for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from thinkpace import Completion, Markers, Request, Sampling
from thinkpace.adapters.scripted import ScriptedEngine
from thinkpace.eval.executors.local import Here
from thinkpace.eval.runs.journal import Journal
from thinkpace.eval.runs.plan import EngineInfo, Plan
from thinkpace.eval.runs.run import run
from thinkpace.eval.runs.settings import Setting, grid
from thinkpace.eval.stats.results import Result, results
from thinkpace.eval.task import Example
from thinkpace.prompts import BARE
from thinkpace.testing import VOCABULARY

EXAMPLES = tuple(Example(f"q{i}", "Q<t>", "7") for i in range(100))


def noisy(_prompt: Sequence[int], output: Sequence[int]) -> np.ndarray:
    return np.random.default_rng([len(output), *output[-1:]]).normal(size=VOCABULARY.size)


class Counting(ScriptedEngine):
    """Counts calls, and can be told to fail: at a call, or for a prompt's seed."""

    def __init__(self, fail_at: int = -1, broken_seed: int = -1) -> None:
        super().__init__(noisy, VOCABULARY, Markers("<t>", "</t>"))
        self.calls, self.fail_at, self.broken_seed = 0, fail_at, broken_seed

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        if any(request.seed == self.broken_seed for request in requests):
            raise RuntimeError("out of memory")
        return super().generate(requests)


def plan(samples: int = 1, examples: tuple[Example, ...] = EXAMPLES, **fields: object) -> Plan:
    settings = grid([0, 4, None], [0, 1], final="so", answer_reserve=2, **fields)
    return make_plan(settings, samples, examples)


def make_plan(
    settings: tuple[Setting, ...], samples: int = 1, examples: tuple[Example, ...] = EXAMPLES, limit: int = 30
) -> Plan:
    return Plan("toy", examples, settings, (BARE,), Sampling(1.0), samples, limit, 0)


def journal(folder: Path) -> Journal:
    return Journal(folder / "journal.sqlite")


def go(what: Plan, engine: ScriptedEngine, book: Journal, progress: Callable[[int], None] = lambda _: None) -> None:
    run(what, Here(engine), book, EngineInfo.of(engine, what.prompts, what.examples), progress)


def found(book: Journal) -> list[Result]:
    return results(book.points, book.entries())
