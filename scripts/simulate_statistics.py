"""Coverage of the intervals, false alarms of the test, and its power, by simulation: the tables of docs/statistics.md.

    python scripts/simulate_statistics.py --runs 2000

Questions differ in difficulty: not at all, or by a beta distribution with concentration 1 (most are nearly always or
nearly never answered). Two settings see the same questions.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from thinkpace.eval.stats.at_k import pass_interval
from thinkpace.eval.stats.comparisons import Paired, paired
from thinkpace.eval.stats.intervals import share_interval

ACCURACIES = (0.01, 0.1, 0.5, 0.9, 0.99)
QUESTIONS = (30, 100, 500)
SAMPLES = (1, 4, 16, 64)
GAIN = 0.1  # of the share of wrong answers that the second setting turns right, in the runs with a difference
Rows = NDArray[np.float64]
#: per field of `Found`, which of the cases are shown
WORST: tuple[tuple[Callable[[Rows], float], ...], ...] = ((np.min,), (np.min,), (np.max,), (np.min,), (np.min, np.max))


class Case(NamedTuple):
    """One population."""

    accuracy: float
    questions: int
    samples: int
    spread: bool


class Found(NamedTuple):
    """What the runs of a case came to: shares of runs."""

    covered: float  #: intervals of the accuracy that hold it
    passed: float  #: intervals of pass@k that hold it, for half of the samples; NaN below 4
    alarms: float  #: tests that find a difference where there is none
    held: float  #: intervals of a difference that hold it
    power: float  #: tests that find the difference that is said to be found in 0.8 of the runs; NaN if none is said


def difficulties(case: Case, runs: int, rng: np.random.Generator) -> Rows:
    """The chance of each question to be answered right: Float[runs, questions]."""
    size = (runs, case.questions)
    return rng.beta(case.accuracy, 1 - case.accuracy, size) if case.spread else np.full(size, case.accuracy)


def pairs(case: Case, gain: float, runs: int, rng: np.random.Generator) -> Iterator[Paired]:
    """Comparisons of two settings of which the second turns a share `gain` of wrong answers right."""
    chances = difficulties(case, runs, rng)
    before = rng.binomial(case.samples, chances)
    after = rng.binomial(case.samples, chances + gain * (1 - chances))
    for one, other in zip(before, after, strict=True):
        yield paired(_samples(one, case.samples), _samples(other, case.samples))


def _samples(right: NDArray[np.int64], of: int) -> dict[str, list[bool]]:
    return {str(i): [True] * count + [False] * (of - count) for i, count in enumerate(right.tolist())}


def found(case: Case, runs: int) -> Found:
    """Simulate a case."""
    rng = np.random.default_rng([round(1000 * case.accuracy), case.questions, case.samples, case.spread])
    counts = rng.binomial(case.samples, difficulties(case, runs, rng))
    covered = _share(
        low <= case.accuracy <= high
        for _, low, high in (share_interval(right.tolist(), [case.samples] * case.questions) for right in counts)
    )
    alarms = _share(one.p_value < 0.05 for one in pairs(case, 0.0, runs, rng))
    true = GAIN * (1 - case.accuracy)
    held = _share(low <= true <= high for low, high in (one.interval() for one in pairs(case, GAIN, runs, rng)))
    return Found(covered, _passed(case, counts), alarms, held, _power(case, runs, rng))


def _passed(case: Case, counts: NDArray[np.int64]) -> float:
    if case.samples < 4:
        return math.nan
    k, a = case.samples // 2, case.accuracy
    none = math.exp(special.betaln(a, 1 - a + k) - special.betaln(a, 1 - a)) if case.spread else (1 - a) ** k
    answers = ([[("", i < count) for i in range(case.samples)] for count in row.tolist()] for row in counts)
    return _share(low <= 1 - none <= high for _, low, high in (pass_interval(one, k) for one in answers))


def _power(case: Case, runs: int, rng: np.random.Generator) -> float:
    """How often the difference is found that is said to be found in 0.8 of the runs where it is the true one."""
    room, gain = 1 - case.accuracy, GAIN
    for _ in range(8):  # what is said depends on the difference: go where both agree
        every = np.array([one.detectable for one in pairs(case, gain, max(100, runs // 10), rng)])
        said = every[~np.isnan(every)]
        if len(said) < len(every) / 2:
            return math.nan
        middle = float(stats.trim_mean(said, 0.25))  # of the middle half of the runs
        if middle >= room:  # more than this accuracy leaves
            return math.nan
        gain = (gain + middle / room) / 2
    return _share(one.p_value < 0.05 for one in pairs(case, gain, runs, rng))


def _share(happened: Iterator[bool]) -> float:
    return float(np.mean([*happened]))


def _worst(column: Rows, which: Sequence[Callable[[Rows], float]]) -> str:
    known = column[~np.isnan(column)]
    return " to ".join(f"{end(known):.3f}" for end in which) if len(known) else ""


def main() -> None:
    """Print one row per number of questions and samples: the worst over accuracies and difficulties."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    heads = "questions", "samples", "accuracy covered", "pass@k covered", "false alarms", "difference covered", "power"
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    with ProcessPoolExecutor(given.processes) as pool:
        for questions, samples in product(QUESTIONS, SAMPLES):
            cases = [Case(a, questions, samples, spread) for a, spread in product(ACCURACIES, (False, True))]
            columns = zip(*pool.map(partial(found, runs=given.runs), cases), strict=True)
            cells = [_worst(np.array(column), which) for column, which in zip(columns, WORST, strict=True)]
            print(f"| {questions} | {samples} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
