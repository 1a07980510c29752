"""Compare our llama.cpp loop with llama-cpp-python's, as ratios in one run on one machine.

    pip install -c constraints.txt '.[llama-cpp,test]'
    python benchmarks/llama_cpp_loop.py [--tokens 200] [--rounds 15] [--vocabulary 151936]

Each comparison measures its two sides in turns and prints the median of their ratios, so a slowdown of the machine
affects both. The models are the embedded one, and one with random weights and a large vocabulary.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))  # where models are made up

from tiny_gguf import Shape, made_up

from thinkpace import (
    BudgetForcing,
    ConfidenceExit,
    LoopBreaker,
    Markers,
    Request,
    Sampling,
    StepBudget,
    ThoughtBudget,
    ThoughtSwitchPenalty,
)
from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine
from thinkpace.adapters.llama_cpp.logits_processor import logits_processors
from thinkpace.adapters.llama_cpp.native import Context, Feed, ModelFile
from thinkpace.eval import embedded

QUIET = (
    ThoughtSwitchPenalty(beta=0),
    ThoughtBudget(10_000),
    StepBudget(10_000),
    LoopBreaker(),
    ConfidenceExit("margin"),
)
MARKERS = Markers("<think>", "</think>")


Side = Callable[[], Callable[[], object]]  # prepares, outside the clock, what is then timed


def ratio(one: Side, other: Side, rounds: int) -> tuple[float, float, float]:
    """The median of one's time over the other's, and the median seconds of each."""
    times: list[tuple[float, float]] = []
    one()()
    other()()
    for _ in range(rounds):
        pair = []
        for side in (one, other):
            timed = side()
            start = time.perf_counter()
            timed()
            pair.append(time.perf_counter() - start)
        times.append((pair[0], pair[1]))
    return (
        statistics.median(a / b for a, b in times),
        statistics.median(a for a, _ in times),
        statistics.median(b for _, b in times),
    )


def show(what: str, found: tuple[float, float, float], steps: int) -> None:
    quotient, one, other = found
    print(f"{what:78s} {quotient:7.3f}   ({1e6 * one / steps:8.1f} against {1e6 * other / steps:8.1f} us a token)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        known = ["<think>", "</think>", "<eos>", "\n", ".", "Wait", "Final Answer:"]
        words = [*known, *(f" w{i}" for i in range(options.vocabulary - len(known)))]
        shape = Shape(64, 128, 2, 2, 2, 32, 1024)
        large = made_up(Path(folder) / "large.gguf", words, 2, shape=shape)
        for name, path in (("embedded", embedded.path("gguf")), (f"vocabulary of {len(words)}", large)):
            compare(name, path, options)


def compare(name: str, path: Path, options: argparse.Namespace) -> None:
    large = "vocabulary" in name
    tokens, rounds = options.tokens, options.rounds * (1 if large else 20)  # a round of the small one takes 10 ms
    engine = LlamaCppEngine(path, markers=MARKERS, parallel=1, context_tokens=1024, threads=options.threads)
    llama: Any = llama_cpp.Llama(str(path), n_ctx=1024, verbose=False, n_threads=options.threads, seed=1)
    opened = engine.vocabulary.encode("<think>")
    prompt = (*engine.vocabulary.encode(" w7 w8" if large else "a=3;b=a+4"), *opened)

    print(name)
    free = Request(prompt, (), tokens, Sampling(0))
    length = len(engine.generate([free])[0].tokens)

    def library(processors: Any = None) -> Side:
        def run() -> None:
            produced = llama.generate(list(prompt), temp=0.0, logits_processor=processors)
            for count, _ in enumerate(produced, 1):
                if count == length:
                    break
            produced.close()

        return lambda: run

    def own(request: Request) -> Side:
        def prepare() -> Callable[[], object]:
            [job] = engine.jobs([request])

            def run() -> None:
                engine.submit([job])
                while not job.done:
                    engine.step()

            return run

        return prepare

    show("  our loop / llama-cpp-python's generate, greedy", ratio(own(free), library(), rounds), length)
    quiet = Request(prompt, QUIET, tokens, Sampling(0))
    show("  our loop with five quiet controls / without", ratio(own(quiet), own(free), rounds), length)
    phrase(path, options)
    controlled = logits_processors(llama, *QUIET, markers=MARKERS)

    def copying(_ids: Any, scores: Any) -> Any:
        changed = np.copy(scores)
        changed[0] += 0.0
        return changed

    copies = llama_cpp.LogitsProcessorList([copying])
    found = ratio(library(controlled), library(copies), rounds)
    show("  five quiet controls on a Llama / a processor that copies", found, length)
    active = logits_processors(llama, ThoughtSwitchPenalty(beta=10_000), BudgetForcing(waits=1000), markers=MARKERS)
    found = ratio(library(active), library(copies), rounds)
    show("  two active controls on a Llama / a processor that copies", found, length)
    engine.close()
    llama.close()


def phrase(path: Path, options: argparse.Namespace) -> None:
    """Twenty tokens that are written, in one decode and in twenty."""
    context = Context(ModelFile(path), sequences=1, cells=1024, batch=512, threads=options.threads)
    start = [5] * 32
    context.decode([Feed(0, start, 0)])

    def at_once() -> None:
        context.cut(0, len(start))
        context.decode([Feed(0, [6] * 20, len(start))])

    def one_by_one() -> None:
        context.cut(0, len(start))
        for i in range(20):
            context.decode([Feed(0, [6], len(start) + i)])

    show("  a phrase of 20 tokens: 20 decodes / one", ratio(lambda: one_by_one, lambda: at_once, options.rounds), 20)
    context.close()


if __name__ == "__main__":
    main()
