"""Measure the cost of controls per step on random scores, compared with other libraries' processors, in one run.

    pip install --no-deps logits-processor-zoo==0.2.1
    python benchmarks/control_step.py [--rows 64] [--vocabulary 151936] [--steps 200]

"Quiet" controls leave the next token alone. "Watching" controls move the end of the sequence onto the close in every
row, so each step writes. Every step appends a word to every row; in the second half of the table, every fifth token is
a full stop (drafts: every sixth a line break; phrases: what is written). Times are means over steps without the
fastest and the slowest tenth. They exclude what every processor pays (a copy of the scores), and `generate` itself. As
in `generate`, the ids grow by one column per step.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import SuppressTokensLogitsProcessor

from thinkpace import (
    BudgetForcing,
    ConfidenceExit,
    Control,
    DraftLimit,
    LoopBreaker,
    Markers,
    StepBudget,
    SuppressExpressions,
    ThoughtBudget,
    ThoughtSwitchPenalty,
)
from thinkpace.adapters.hf.logits_processor import ThinkpaceLogitsProcessor
from thinkpace.adapters.scripted import WordVocabulary
from thinkpace.processors import compile_program

try:
    from logits_processor_zoo.transformers import ForceLastPhraseLogitsProcessor, GenLengthLogitsProcessor
except ModuleNotFoundError:
    raise SystemExit("pip install --no-deps logits-processor-zoo==0.2.1") from None

MARKERS = Markers("<t>", "</t>")
OWN = ("<t>", "</t>", "Wait", "<eos>", ".", "\n", "\n\n", " any", "alternatively", "so", "Final Answer:")
Step = Callable[[Any, Any], torch.Tensor]


class Tokenizer:
    """What logits-processor-zoo asks of a tokenizer."""

    eos_token_id = OWN.index("<eos>")
    bos_token = None
    add_prefix_space = False

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        return [OWN.index(text)] if text in OWN else [OWN.index("so")] * 1000

    def get_vocab(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(OWN)}


def timed(step: Step, rows: int, size: int, said: list[int]) -> float:
    """Seconds per step, the mean without the fastest and slowest tenth; every row emits what is `said`."""
    ids = torch.tensor([[20, 0]] * rows)
    scores = torch.randn(rows, size)
    scores[:, Tokenizer.eos_token_id] = -30.0  # nothing ends by itself
    taken = []
    for token in said:
        fresh = scores.clone()
        start = time.perf_counter()
        step(ids, fresh)
        taken.append(time.perf_counter() - start)
        ids = torch.cat((ids, torch.full((rows, 1), token)), 1)
    return statistics.mean(sorted(taken)[len(taken) // 10 : -(len(taken) // 10)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    words = WordVocabulary((*OWN, *(f" w{i}" for i in range(options.vocabulary - len(OWN)))))

    def ours(*controls: Control) -> Callable[[], Step]:
        program = compile_program(controls, words, MARKERS)
        return lambda: ThinkpaceLogitsProcessor([program], None, 1.0, 0, beams=False)

    def for_beams(*controls: Control) -> Callable[[], Step]:
        program = compile_program(controls, words, MARKERS)
        return lambda: ThinkpaceLogitsProcessor([program], None, 1.0, 0)

    quiet = (
        ThoughtSwitchPenalty(beta=0),
        ThoughtBudget(1000),
        StepBudget(1000),
        LoopBreaker(),
        ConfidenceExit("margin"),
    )
    active = (
        ThoughtSwitchPenalty(beta=100_000),
        SuppressExpressions(),
        ThoughtBudget(1),
        StepBudget(1000),
        BudgetForcing(waits=1000),
    )
    so = OWN.index("so")
    cases: dict[str, Callable[[], Step]] = {
        "no control": ours(),
        "one quiet (StepBudget)": ours(StepBudget(1000)),
        "five quiet": ours(*quiet),
        "five quiet, and watching the end": ours(*quiet, BudgetForcing()),
        "one active (ThoughtSwitchPenalty)": ours(ThoughtSwitchPenalty(beta=100_000)),
        "one active (BudgetForcing, waits)": ours(BudgetForcing(waits=1000)),
        "one active (a phrase is written)": ours(BudgetForcing(0, final="so" * options.steps)),
        "the same, where beams are possible (phrase)": for_beams(BudgetForcing(0, final="so" * options.steps)),
        "one active (DraftLimit, 5 words)": ours(DraftLimit(5)),
        "five active": ours(*active),
        "zoo GenLength, quiet": lambda: GenLengthLogitsProcessor(Tokenizer(), 0.0),
        "zoo ForceLastPhrase, quiet": lambda: ForceLastPhraseLogitsProcessor("Wait", Tokenizer(), options.rows),
        "zoo ForceLastPhrase, writing": lambda: _writing(options.rows),
        "transformers SuppressTokens": lambda: SuppressTokensLogitsProcessor([1]),
    }
    print(f"{options.rows} rows, vocabulary {options.vocabulary}, {torch.get_num_threads()} threads")
    for stops in (False, True):
        print("a full stop at every fifth step" if stops else "words only")
        prose = [OWN.index(".") if stops and at % 5 == 4 else 100 + at for at in range(options.steps)]
        phrase = [OWN.index("</t>"), *[so] * (options.steps - 1)]
        drafts = [OWN.index("\n") if at % 6 == 5 else 100 + at for at in range(options.steps)]
        measured = {
            name: timed(
                make(),
                options.rows,
                options.vocabulary,
                phrase if "phrase" in name else drafts if "Draft" in name else prose,
            )
            for name, make in cases.items()
        }
        base = measured["zoo ForceLastPhrase, writing"]
        for name, seconds in measured.items():
            per_row = 1e6 * seconds / options.rows
            print(
                f"  {name:44s} {1e6 * seconds:9.0f} us a step {per_row:8.2f} us a row {seconds / base:8.4f} of writing"
            )


def _writing(rows: int) -> Step:
    processor = ForceLastPhraseLogitsProcessor("a long phrase", Tokenizer(), rows)

    def step(ids: Any, scores: Any) -> torch.Tensor:
        if processor.prompt_token_ids is not None:
            processor.iterators.clamp_(min=1)  # every row is inside the phrase
        return processor(ids, scores)  # type: ignore[no-any-return]  # a tensor

    return step


if __name__ == "__main__":
    main()
