"""`thinkpace sweep`: a grid of controls over the questions of a task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thinkpace.eval import embedded
from thinkpace.eval.cli import options
from thinkpace.eval.grading.extract import RULES
from thinkpace.eval.tasks.registry import NAMES as TASKS
from thinkpace.prompts.published import NAMES as PROMPTS

#: options of this command that a file gives as lists
_LISTS = {"model": "models", "engine": "engines", "prompt": "prompts"}


def sweep(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(help="TOML file with the names of these options; options on the command line go before it."),
    ] = None,
    model: Annotated[
        list[str],
        typer.Option(
            help="Folder or hub name of a transformers model, or a .gguf file. Can be repeated.",
            rich_help_panel=options.MODEL,
        ),
    ] = [embedded.NAME],  # noqa: B006  # typer copies it
    engine: Annotated[
        list[str] | None,
        typer.Option(
            help="Engine: hf, llama.cpp or vllm. Can be repeated.",
            show_default="llama.cpp for a .gguf file, else hf",
            rich_help_panel=options.MODEL,
        ),
    ] = None,
    parallel: options.Parallel = None,
    open_marker: options.Open = None,
    close_marker: options.Close = None,
    task: Annotated[
        str,
        typer.Option(
            help=f"Questions: {', '.join(TASKS)}; a file; or the id of a data set on the hub.",
            rich_help_panel=options.QUESTIONS,
        ),
    ] = "chain",
    data: Annotated[
        str | None,
        typer.Option(
            help="File with the questions of a published task, so that nothing is downloaded.",
            rich_help_panel=options.QUESTIONS,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            help="Questions at most, the first ones.",
            show_default="all; 256 of the embedded tasks",
            rich_help_panel=options.QUESTIONS,
        ),
    ] = None,
    prompt: Annotated[
        list[str],
        typer.Option(
            help=f"Published prompt around each question: {', '.join(PROMPTS)}. Can be repeated.",
            rich_help_panel=options.QUESTIONS,
        ),
    ] = ["step-by-step"],  # noqa: B006  # typer copies it
    budgets: Annotated[
        str | None,
        typer.Option(
            help="Thinking tokens at most, with commas between, such as 0,512,none.",
            show_default="0,16,32,64,96,128,none",
            rich_help_panel=options.THINKING,
        ),
    ] = None,
    waits: Annotated[
        str | None,
        typer.Option(
            help="How many times --wait is written instead of closing, such as 0,1,2; every budget with every number.",
            show_default="0,1,2,3 without a budget",
            rich_help_panel=options.THINKING,
        ),
    ] = None,
    control: options.Controls = None,
    wait: options.Wait = "Wait",
    final: options.Final = "Final Answer:",
    temperature: options.Temperature = 1.0,
    top_p: options.TopP = 1.0,
    top_k: options.TopK = 0,
    min_p: options.MinP = 0.0,
    samples: Annotated[
        int, typer.Option(help="Samples per question and setting.", rich_help_panel=options.SAMPLING)
    ] = 1,
    seed: options.Seed = 0,
    max_new_tokens: options.NewTokens = None,
    answer_reserve: options.Reserve = None,
    grader: Annotated[
        str | None,
        typer.Option(
            help="How answers are compared: same, exact, numeric, choice or math.",
            show_default="the task's",
            rich_help_panel=options.GRADING,
        ),
    ] = None,
    rules: Annotated[
        str | None,
        typer.Option(
            help=f"Where the answer stands, tried in this order, with commas between: {', '.join(RULES)}.",
            show_default="the task's first, then the others",
            rich_help_panel=options.GRADING,
        ),
    ] = None,
    replay: Annotated[
        bool,
        typer.Option(
            "--replay/--no-replay",
            help="Generate the longest setting, and of the others only what differs from it.",
            rich_help_panel=options.RUNNING,
        ),
    ] = False,
    executor: Annotated[
        str,
        typer.Option(
            help="Where to generate: here, in processes of this machine, or on a ray cluster.",
            rich_help_panel=options.RUNNING,
        ),
    ] = "here",
    workers: Annotated[
        int,
        typer.Option(help="Engines of --executor processes and --executor ray.", rich_help_panel=options.RUNNING),
    ] = 2,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results.",
            show_default="runs/<model>-<task>-<digest>",
            rich_help_panel=options.RUNNING,
        ),
    ] = None,
) -> None:
    """Measure accuracy against thinking tokens: every budget with every number of waits, on the same questions.

    Without --budgets and --waits: a line of budgets without waits, and a line of waits without a budget; with
    --control: no limit. Each --control adds its controls to every budget, or stands alone if it decides itself when
    thinking ends. The same command goes on where it was stopped; into a folder that exists, settings and samples can
    be added.
    """
    from rich.console import Console

    from thinkpace.eval.sweeps.config import merged
    from thinkpace.eval.sweeps.perform import Stopped, perform

    given = {
        _LISTS.get(name, name): value
        for name, value in ctx.params.items()
        if name not in ("file", "out") and _was_given(ctx, name)
    }
    console = Console()
    try:
        perform(merged(file, given), out, console)
    except Stopped as stopped:
        console.print(str(stopped))
        raise typer.Exit(130) from None


def _was_given(ctx: typer.Context, name: str) -> bool:
    """Whether an option was on the command line, and not left at its default."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"
