"""Cost per step of our processor on made-up scores, as ratios in one run on one machine.

    python benchmarks/hf_step.py [--rows 64] [--vocabulary 151936] [--steps 200]

Compared: nothing fires (inside the answer), the close is watched (a redirect in every row), every row is forced;
against transformers' own SuppressTokensLogitsProcessor on the same scores. Times are medians per step; the ids that
`generate` would pass grow by one column a step, as they do there.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import SuppressTokensLogitsProcessor

from thinkpace import BudgetForcing, Control, Markers, ThinkBudget
from thinkpace.adapters.hf import ThinkpaceLogitsProcessor
from thinkpace.adapters.scripted import WordVocabulary
from thinkpace.processors import compile_program

MARKERS = Markers("<t>", "</t>")
Step = Callable[[Any, Any], torch.Tensor]


def vocabulary(size: int) -> WordVocabulary:
    return WordVocabulary(("<t>", "</t>", "Wait", "<eos>", *(f"w{i};" for i in range(size - 4))))


def timed(step: Step, prompt: list[int], filler: int, rows: int, size: int, steps: int) -> float:
    """Median seconds per step; `filler` is what every row emits."""
    ids = torch.tensor([prompt] * rows)
    scores = torch.randn(rows, size)
    taken = []
    for _ in range(steps):
        fresh = scores.clone()
        start = time.perf_counter()
        step(ids, fresh)
        taken.append(time.perf_counter() - start)
        ids = torch.cat((ids, torch.full((rows, 1), filler)), 1)
    return statistics.median(taken[5:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    words = vocabulary(options.vocabulary)

    def ours(control: Control) -> Step:
        return ThinkpaceLogitsProcessor([compile_program([control], words, MARKERS)], None, 1.0)

    thinking, answering = [5, 0], [5]
    cases: dict[str, tuple[Step, list[int], int]] = {
        "answering, nothing to do": (ours(ThinkBudget(512)), answering, 6),
        "thinking, the end is watched": (ours(ThinkBudget(10_000)), thinking, 6),
        "thinking, waits armed": (ours(BudgetForcing(waits=10_000, final=None)), thinking, 6),
        "every row forced": (ours(BudgetForcing(0, final="w7;" * (options.steps + 1))), thinking, 11),
        "SuppressTokens (transformers)": (SuppressTokensLogitsProcessor([1]), thinking, 6),
    }
    measured = {
        name: timed(step, prompt, filler, options.rows, options.vocabulary, options.steps)
        for name, (step, prompt, filler) in cases.items()
    }
    base = measured["SuppressTokens (transformers)"]
    print(f"{options.rows} rows, vocabulary {options.vocabulary}, {torch.get_num_threads()} threads")
    for name, seconds in measured.items():
        per_row = 1e6 * seconds / options.rows
        line = f"{name:32s} {1e6 * seconds:8.0f} us a step {per_row:8.2f} us a row"
        print(f"{line} {seconds / base:7.3f} of SuppressTokens")


if __name__ == "__main__":
    main()
