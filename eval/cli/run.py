"""`thinkpace run`: one generation, in which injected text is shown apart from the model's own."""

from __future__ import annotations

import sys
from json import dumps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkpace.eval import embedded
from thinkpace.eval.cli import options
from thinkpace.prompts.published import PROMPT_NAMES

if TYPE_CHECKING:
    from rich.console import Console

    from thinkpace.engine import Completion, Engine

STYLES = {"thinking": "", "injected": "bold yellow", "closing": "bold yellow", "marker": "dim", "answer": "bold green"}


def run(
    question: Annotated[
        str,
        typer.Argument(
            help="The question; - reads it from stdin. The embedded model takes 'Modulo 10: a=7;b=a*3;c=b+9; c=?'."
        ),
    ],
    model: options.Model = embedded.NAME,
    engine: options.EngineName = None,
    open_marker: options.Open = None,
    close_marker: options.Close = None,
    context: options.Context = None,
    threads: options.Threads = 0,
    gpu_layers: options.GpuLayers = 0,
    prompt: Annotated[
        str,
        typer.Option(
            help=f"Published prompt around the question: {', '.join(PROMPT_NAMES)}.", rich_help_panel=options.QUESTIONS
        ),
    ] = "step-by-step",
    prompt_file: options.PromptFile = None,
    prefill: options.Prefill = None,
    chat_template_kwargs: options.TemplateArguments = None,
    budget: Annotated[
        str, typer.Option(help="Maximum thinking tokens, or none.", rich_help_panel=options.THINKING)
    ] = "none",
    min_tokens: Annotated[int, typer.Option(help="Minimum thinking tokens.", rich_help_panel=options.THINKING)] = 0,
    waits: Annotated[
        int,
        typer.Option(
            help="How many times to write the --wait text instead of closing the thinking.",
            rich_help_panel=options.THINKING,
        ),
    ] = 0,
    wait: options.Wait = "Wait",
    final: options.Final = "Final Answer:",
    control: options.Controls = None,
    temperature: options.Temperature = 1.0,
    top_p: options.TopP = 1.0,
    top_k: options.TopK = 0,
    min_p: options.MinP = 0.0,
    seed: options.Seed = 0,
    max_new_tokens: options.NewTokens = None,
    answer_reserve: options.Reserve = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object: texts, counts and receipt.")] = False,
) -> None:
    """Generate one answer and show it by kind: thinking plain, injected text yellow, markers dim, answer green."""
    from rich.console import Console

    from thinkpace.engine import Request, Sampling
    from thinkpace.eval.engines import engine_kind, open_engine
    from thinkpace.eval.runs.unit import check_prefill, prompt_ids
    from thinkpace.eval.sweeps.parse import (
        controls_of,
        markers_of,
        new_tokens_of,
        number_of,
        prompts_named,
        reserve_of,
        template_arguments_of,
    )
    from thinkpace.processors import BudgetForcing

    is_embedded = model == embedded.NAME
    controls = tuple(item for text in control or () for item in controls_of(text))
    if not any(item.decides_end for item in controls):
        forcing = BudgetForcing(
            max_tokens=number_of(budget, "--budget"),
            min_tokens=min_tokens,
            waits=waits,
            wait=wait,
            final=final or None,
            answer_reserve=reserve_of(answer_reserve, is_embedded),
        )
        controls = (*controls, forcing)
    elif budget != "none" or min_tokens or waits:
        raise ValueError("--control decides when thinking ends: leave out --budget, --min-tokens and --waits")
    if wait != "Wait" and not waits and not min_tokens:
        raise ValueError("--wait is written where --waits or --min-tokens ask for it: give one of them")
    sampling = Sampling(temperature, top_p, top_k, min_p)
    if prompt_file is not None and prompt != "step-by-step":
        raise ValueError("give --prompt or --prompt-file, not both")
    arguments = template_arguments_of(chat_template_kwargs)
    [style] = prompts_named([prompt], prompt_file, prefill, arguments)
    if question == "-":
        question = sys.stdin.read().strip()
    if not question.strip():
        raise ValueError("the question is empty")
    try:
        question.encode()
    except UnicodeEncodeError:
        raise ValueError("the question is no text: it holds bytes that are not UTF-8") from None
    generates = open_engine(
        model,
        engine_kind(engine, model),
        markers_of(open_marker, close_marker),
        context_tokens=context,
        threads=threads,
        gpu_layers=gpu_layers,
    )
    check_prefill(generates, style, question, controls)
    ids = prompt_ids(generates, style, question)
    new_tokens = new_tokens_of(max_new_tokens, is_embedded, generates.context_tokens, len(ids))
    [completion] = generates.generate([Request(ids, controls, new_tokens, sampling, seed)])
    if json:
        typer.echo(dumps(completion_json(completion), ensure_ascii=False))
    else:
        show(Console(), completion, generates)


def completion_json(completion: Completion) -> dict[str, Any]:
    """A completion as a JSON object: texts, finish reason, seed and receipt."""
    texts = {"text": completion.text, "thinking": completion.thinking, "answer": completion.answer}
    rest = {"finish_reason": completion.finish_reason, "seed": completion.seed}
    return texts | rest | {"receipt": completion.receipt.to_json()}


def show(console: Console, completion: Completion, engine: Engine) -> None:
    """Print the text, styled by kind (in brackets if not on a terminal), then the receipt."""
    from rich.text import Text

    text = Text()
    plain = not console.is_terminal
    start = 0
    for end in range(1, len(completion.tokens) + 1):
        if end < len(completion.tokens) and completion.kinds[end] == completion.kinds[start]:
            continue
        kind = completion.kinds[start]
        piece = engine.vocabulary.decode(completion.tokens[start:end])
        text.append(f"[{kind}: {piece}]" if plain and kind != "thinking" else piece, STYLES[kind])
        start = end
    console.print(text, soft_wrap=True)
    receipt, usage = completion.receipt, completion.usage
    console.rule("receipt")
    console.print(f"armed      {', '.join(receipt.armed)}", highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"tokens     prompt {usage.prompt}, thinking {usage.thinking}, forced {usage.forced}, marker {usage.marker}, "
        f"answer {usage.answer}; {receipt.thinking_tokens} count against the budget",
        highlight=False,
    )
    console.print(f"end        thinking: {receipt.end}; sequence: {completion.finish_reason}", highlight=False)
    for event in receipt.events:
        tokens = engine.vocabulary.decode(event.tokens)
        shown = f"fired      token {event.at}: {event.what} ({event.why}) {tokens!r}"
        console.print(shown, highlight=False, markup=False, soft_wrap=True)
    for note in receipt.notes:
        console.print(Text.assemble(("NOT HELD", "bold red"), f"   {note}"), soft_wrap=True)
