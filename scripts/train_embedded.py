"""Train the embedded model from scratch: tokenizer, weights, chat template.

    python scripts/train_embedded.py --out eval/embedded/hf

All random numbers come from seeds, so a second run on the same machine with the same thread count gives the same
weights. Other machines round differently and give an equivalent model, not the same bytes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from embedded_traces import CUT, Trace, chain_trace, direct_trace, search_trace
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from thinkpace.eval.embedded.problems import Chain, Search, draw_chain, draw_search, split_of
from thinkpace.prompts import DIRECT, DRAFT, STEP_BY_STEP, Prompt

PAD, START, END, OPEN, CLOSE = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"
# The pattern of Qwen2's tokenizer, so that every engine that knows Qwen splits the text in the same way.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Thinking is opened by the template, as in DeepSeek-R1; enable_thinking=false closes it at once, as in Qwen3.
CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{%- if message.role == 'assistant' and '</think>' in message.content %}"
    "{%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}"
    "{%- else %}{%- set content = message.content %}{%- endif %}"
    "{{- '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.role == 'assistant' and message.reasoning_content %}"
    "{{- '<think>\\n' + message.reasoning_content + '</think>\\n' }}{%- endif %}"
    "{{- content + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '</think>\\n' }}{%- endif %}"
    "{%- endif %}"
)
ANSWER = "\nFinal Answer: "
TOKENIZER_SIZE, MODEL_VOCABULARY = 480, 512  # the model has rows for ids that are not in the tokenizer, as real ones do
LONGEST = 400  # tokens; longer sequences (rare searches) are dropped
# (share, task, style)
MIXTURE = (
    (0.33, "chain", STEP_BY_STEP),
    (0.34, "chain", DRAFT),
    (0.06, "chain", DIRECT),
    (0.22, "search", STEP_BY_STEP),
    (0.05, "search", DIRECT),
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and how fast; the defaults are what the shipped model was trained with."""

    steps: int = 5600
    batch: int = 48
    learning_rate: float = 2e-3
    warm_up: int = 300
    weight_decay: float = 0.05
    seed: int = 0
    compiled: bool = False


def draw(rng: random.Random) -> tuple[Prompt, Chain | Search, Trace]:
    """One training problem of the mixture with its trace; never one of the test split."""
    _, task, style = rng.choices(MIXTURE, [share for share, _, _ in MIXTURE])[0]
    problem: Chain | Search
    while True:
        problem = draw_chain(rng, (2, 7)) if task == "chain" else draw_search(rng)
        if split_of(problem.question) == "train":
            break
    if style is DIRECT:
        return style, problem, direct_trace(problem)
    if isinstance(problem, Chain):
        return style, problem, chain_trace(problem, rng, draft=style is DRAFT)
    return style, problem, search_trace(problem, rng)


def prompt_text(style: Prompt, question: str) -> str:
    """What the chat template makes of the prompt; a test compares the two."""
    return f"{START}user\n{style.text(question)}{END}\n{START}assistant\n{OPEN}\n"


def train_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer on the training texts; every digit is a token of its own."""
    rng = random.Random(f"tokenizer/{seed}")

    def texts() -> Iterator[str]:
        for style, problem, trace in (draw(rng) for _ in range(20_000)):
            yield prompt_text(style, problem.question) + trace.thinking + CLOSE + ANSWER + trace.answer

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    specials = [PAD, START, END, OPEN, CLOSE]
    trainer = trainers.BpeTrainer(
        vocab_size=TOKENIZER_SIZE,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START, OPEN, CLOSE],
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )


def new_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen3ForCausalLM:
    """An untrained model of under a million parameters."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=MODEL_VOCABULARY,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=1024,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
        initializer_range=0.04,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen3ForCausalLM(config)


def id_of(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    """The id of a special token."""
    [found] = tokenizer.backend_tokenizer.encode(token).ids
    return int(found)


def batches(tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless (ids, labels), both Long[batch, length], right-padded; label -100 carries no loss.

    Sequences are drawn in pools and sorted by length, so that little is padding; a pool's batches come in random order.
    """
    rng = random.Random(f"batches/{recipe.seed}")
    close, wait = id_of(tokenizer, CLOSE), id_of(tokenizer, "Wait")
    encode = tokenizer.backend_tokenizer.encode_batch_fast
    while True:
        drawn = [draw(rng) for _ in range(recipe.batch * 32)]
        prompts = [e.ids for e in encode([prompt_text(style, problem.question) for style, problem, _ in drawn])]
        thoughts = [e.ids for e in encode([trace.thinking for _, _, trace in drawn])]
        answers = [e.ids for e in encode([f"{ANSWER}{trace.answer}{END}" for _, _, trace in drawn])]
        rows: list[tuple[list[int], list[int]]] = []
        for (_, _, trace), prompt, thought, answer in zip(drawn, prompts, thoughts, answers, strict=True):
            taught = thought.copy()
            waits = [at for at, token in enumerate(thought) if token == wait]
            for at in waits[len(waits) - trace.forced :]:
                taught[at] = -100
            cut = bool(thought) and rng.random() < CUT
            if cut:
                thought = thought[: rng.randrange(len(thought))]
            ids = prompt + thought + [close] + answer
            labels = [-100] * len(prompt) + taught[: len(thought)] + [-100 if cut else close] + answer
            if len(ids) <= LONGEST:
                rows.append((ids, labels))
        rows.sort(key=lambda row: len(row[0]))
        chunks = [rows[i : i + recipe.batch] for i in range(0, len(rows) - recipe.batch + 1, recipe.batch)]
        rng.shuffle(chunks)
        for chunk in chunks:
            width = -(-len(chunk[-1][0]) // 32) * 32
            pad = id_of(tokenizer, PAD)
            yield (
                torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in chunk]),
                torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in chunk]),
            )


def train(
    model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, recipe: Recipe, log: Path | None = None
) -> list[float]:
    """Train in place with AdamW, warm-up and linear decay; returns the loss of every step (nats per token)."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min(
            (step + 1) / recipe.warm_up, (recipe.steps - step) / max(1, recipe.steps - recipe.warm_up), 1.0
        ),
    )
    model.train()
    trunk: Any = torch.compile(model.model, dynamic=True) if recipe.compiled else model.model
    losses: list[float] = []
    started, tokens = time.monotonic(), 0
    for step, (ids, labels) in enumerate(itertools.islice(batches(tokenizer, recipe), recipe.steps)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = trunk(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
            target = labels[:, 1:]
            keep = target != -100
            logits = model.lm_head(hidden[keep])  # (kept tokens, vocabulary)
        loss = torch.nn.functional.cross_entropy(logits.float(), target[keep])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise RuntimeError(f"the loss is {losses[-1]} at step {step}: lower --learning-rate")
        tokens += ids.numel()
        if log is not None and step % 100 == 99:
            rate = tokens / (time.monotonic() - started)
            with log.open("a") as file:
                print(
                    json.dumps({"step": step + 1, "loss": sum(losses[-100:]) / 100, "tokens_per_s": round(rate)}),
                    file=file,
                )
        if log is not None and step % 1000 == 999:
            save(model, tokenizer, log.with_suffix(".checkpoint"))
    model.eval()
    return losses


def save(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write the folder that `AutoModelForCausalLM.from_pretrained` reads."""
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=1.0,
        top_k=0,
    )
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights and the tokenizer")
    parser.add_argument("--log", type=Path, help="JSON lines of the loss, and checkpoints beside it")
    defaults = Recipe()
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--compile", action="store_true", help="torch.compile: a fifth faster; needs a C++ compiler")
    options: Any = parser.parse_args(arguments)
    recipe = Recipe(
        steps=options.steps, learning_rate=options.learning_rate, seed=options.seed, compiled=options.compile
    )
    tokenizer = train_tokenizer(recipe.seed)
    model = new_model(tokenizer, recipe.seed)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens")
    train(model, tokenizer, recipe, options.log)
    save(model, tokenizer, options.out)


if __name__ == "__main__":
    main()
