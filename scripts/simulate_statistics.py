"""Coverage of the intervals, false alarms of the test, and power, by simulation; prints the table of docs/statistics.md.

    python scripts/simulate_statistics.py --runs 2000

Questions differ in difficulty: not at all, or by a beta distribution with concentration 1 (most are nearly always or
nearly never answered). Both settings see the same questions.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from thinkpace.eval.stats.comparisons import Paired, paired
from thinkpace.eval.stats.intervals import share_interval

ACCURACIES = (0.01, 0.1, 0.5, 0.9, 0.99)
QUESTIONS = (30, 100, 500)
SAMPLES = (1, 4, 16, 64)
GAIN = 0.1  # of the share of wrong answers that the second setting turns right, in the runs with a difference
Rows = NDArray[np.float64]


class Case(NamedTuple):
    """One population."""

    accuracy: float
    questions: int
    samples: int
    spread: bool


def difficulties(case: Case, runs: int, rng: np.random.Generator) -> Rows:
    """The chance of each question to be answered right: Float[runs, questions]."""
    size = (runs, case.questions)
    return rng.beta(case.accuracy, 1 - case.accuracy, size) if case.spread else np.full(size, case.accuracy)


def pairs(case: Case, gain: float, runs: int, rng: np.random.Generator) -> Iterator[tuple[Paired, float]]:
    """Comparisons of two settings of which the second turns a share `gain` of wrong answers right; the true gain."""
    chances = difficulties(case, runs, rng)
    before = rng.binomial(case.samples, chances)
    after = rng.binomial(case.samples, chances + gain * (1 - chances))
    for one, other in zip(before, after, strict=True):
        yield paired(_samples(one, case.samples), _samples(other, case.samples)), gain * (1 - case.accuracy)


def _samples(right: NDArray[np.int64], of: int) -> dict[str, list[bool]]:
    return {str(i): [True] * count + [False] * (of - count) for i, count in enumerate(right.tolist())}


def row(case: Case, runs: int, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Coverage of the accuracy, false alarms, coverage of a difference, power at the difference that is said."""
    covered = 0
    for right in rng.binomial(case.samples, difficulties(case, runs, rng)):
        _, low, high = share_interval(right.tolist(), [case.samples] * case.questions)
        covered += low <= case.accuracy <= high
    same = [found for found, _ in pairs(case, 0.0, runs, rng)]
    alarms = np.mean([found.p_value < 0.05 for found in same])
    held = [found.low <= true <= found.high for found, true in pairs(case, GAIN, runs, rng)]
    said = [found.detectable for found, _ in pairs(case, GAIN, runs, rng) if found.detectable == found.detectable]
    power = float("nan")
    if len(said) > runs / 2 and (target := float(np.median(said))) < (1 - case.accuracy):
        gain = target / (1 - case.accuracy)
        said = [found.detectable for found, _ in pairs(case, gain, runs // 4, rng)]  # as it is said at that difference
        gain = min(1.0, float(np.nanmedian(said)) / (1 - case.accuracy))
        power = float(np.mean([found.p_value < 0.05 for found, _ in pairs(case, gain, runs, rng)]))
    return covered / runs, float(alarms), float(np.mean(held)), power


def main() -> None:
    """Print the table, one row per number of questions and samples, the worst over accuracies and difficulties."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    runs = parser.parse_args().runs
    rng = np.random.default_rng(0)
    print("| questions | samples | accuracy covered, least | false alarms, most | difference covered, least | power |")
    print("|---|---|---|---|---|---|")
    for questions, samples in product(QUESTIONS, SAMPLES):
        found = [row(Case(a, questions, samples, s), runs, rng) for a, s in product(ACCURACIES, (False, True))]
        cover, alarms, held, power = (np.array(column) for column in zip(*found, strict=True))
        powers = "" if np.isnan(power).all() else f"{np.nanmin(power):.2f} to {np.nanmax(power):.2f}"
        print(
            f"| {questions} | {samples} | {cover.min():.3f} | {alarms.max():.3f} | {held.min():.3f} | {powers} |", flush=True
        )


if __name__ == "__main__":
    main()
