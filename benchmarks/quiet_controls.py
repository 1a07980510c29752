"""What five quiet controls cost on a real model: CPU time with them beside without, on transformers and llama.cpp.

    python benchmarks/quiet_controls.py SmolLM2-135M-Instruct.Q4_1.gguf

The sides alternate, in turns of changing order, and the number is the median of the ratios of a round. Ratios are of
the CPU time of the process: the greedy tokens are the same on both sides, which is checked.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Any

from thinkpace import (
    Control,
    LoopBreaker,
    Markers,
    Request,
    Sampling,
    StepBudget,
    SuppressExpressions,
    ThoughtBudget,
    ThoughtSwitchPenalty,
)

#: controls that change none of these tokens
QUIET: tuple[Control, ...] = (
    ThoughtBudget(10_000),
    ThoughtSwitchPenalty(beta=0),
    SuppressExpressions(("zyzzyva",)),
    LoopBreaker(),
    StepBudget(10_000),
)
QUESTION = "Tell me in a few sentences how bread is baked."


def timed(engine: Any, rows: int, tokens: int, controls: Sequence[Control]) -> tuple[float, list[tuple[int, ...]]]:
    """(CPU seconds, outputs) of `rows` sequences with thinking opened."""
    prompt = (*engine.chat([{"role": "user", "content": QUESTION}]), *engine.vocabulary.encode("<think>\n"))
    requests = [Request(prompt, tuple(controls), tokens, Sampling(0.0), seed) for seed in range(rows)]
    start = time.process_time()
    made = engine.generate(requests)
    return time.process_time() - start, [done.tokens for done in made]


def ratio(engine: Any, rows: int, tokens: int, rounds: int) -> str:
    """The median of the ratios, and their range."""
    timed(engine, rows, tokens, QUIET)  # compiles the controls
    ratios = list[float]()
    for number in range(rounds):
        sides: dict[bool, tuple[float, Any]] = {}
        for quiet in (True, False) if number % 2 else (False, True):
            sides[quiet] = timed(engine, rows, tokens, QUIET if quiet else ())
        if sides[True][1] != sides[False][1]:
            raise RuntimeError("the controls changed tokens: the two sides did not do the same work")
        ratios.append(sides[True][0] / sides[False][0])
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}, {rounds} rounds)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--engine", choices=("llama-cpp", "hf"), help="only this engine")
    given = parser.parse_args()
    markers = Markers("<think>", "</think>")

    if given.engine != "hf":
        from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine

        for rows in (1, 8):
            engine = LlamaCppEngine(given.model, markers=markers, parallel=rows, context_tokens=512, threads=1)
            print(f"llama.cpp, {rows} at once: {ratio(engine, rows, given.tokens, given.rounds)}", flush=True)
            engine.close()
    if given.engine != "llama-cpp":
        from thinkpace.adapters.hf.engine import HFEngine

        hf = HFEngine.from_path(given.model, markers=markers)
        for rows in (1, 16):
            print(f"transformers, batch {rows}: {ratio(hf, rows, given.tokens, given.rounds)}", flush=True)


if __name__ == "__main__":
    main()
