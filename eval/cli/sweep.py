"""`thinkpace sweep`: run a grid of controls over the questions of a task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thinkpace.eval import embedded
from thinkpace.eval.cli import options
from thinkpace.eval.grading.rules import RULES
from thinkpace.eval.tasks.registry import TASK_NAMES
from thinkpace.prompts.published import PROMPT_NAMES

#: option of this command -> field of `Config`, for options that can be repeated
_LISTS = {"model": "models", "engine": "engines", "prompt": "prompts"}


def sweep(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(help="TOML file with these options; options on the command line override it."),
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
    context: options.Context = None,
    threads: options.Threads = 0,
    gpu_layers: options.GpuLayers = 0,
    task: Annotated[
        str,
        typer.Option(
            help=f"Questions: {', '.join(TASK_NAMES)}; a file; or the id of a data set on the Hugging Face Hub.",
            rich_help_panel=options.QUESTIONS,
        ),
    ] = "chain",
    data: Annotated[
        str | None,
        typer.Option(
            help="File with the questions of a published task, used instead of a download.",
            rich_help_panel=options.QUESTIONS,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            help="Maximum number of questions; the first ones are taken.",
            show_default="all; 256 of the embedded tasks",
            rich_help_panel=options.QUESTIONS,
        ),
    ] = None,
    prompt: Annotated[
        list[str],
        typer.Option(
            help=f"Published prompt around each question: {', '.join(PROMPT_NAMES)}. Can be repeated.",
            rich_help_panel=options.QUESTIONS,
        ),
    ] = ["step-by-step"],  # noqa: B006  # typer copies it
    prompt_file: options.PromptFile = None,
    prefill: options.Prefill = None,
    chat_template_kwargs: options.TemplateArguments = None,
    budgets: Annotated[
        str | None,
        typer.Option(
            help="Maximum thinking tokens, comma-separated, such as 0,512,none.",
            show_default="0,16,32,64,96,128,none",
            rich_help_panel=options.THINKING,
        ),
    ] = None,
    waits: Annotated[
        str | None,
        typer.Option(
            help="How many times to write the --wait text instead of closing, such as 0,1,2; each with every budget.",
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
            help=f"Rules that find the answer, in the order to try them, comma-separated: {', '.join(RULES)}.",
            show_default="the task's first, then the others",
            rich_help_panel=options.GRADING,
        ),
    ] = None,
    replay: Annotated[
        bool,
        typer.Option(
            "--replay/--no-replay",
            help="Generate the longest setting in full, and of the other settings only what differs from it.",
            rich_help_panel=options.RUNNING,
        ),
    ] = False,
    executor: Annotated[
        str,
        typer.Option(
            help="Where to generate: here (this process), processes (of this machine) or ray (a cluster).",
            rich_help_panel=options.RUNNING,
        ),
    ] = "here",
    workers: Annotated[
        int,
        typer.Option(help="Number of engines for --executor processes or ray.", rich_help_panel=options.RUNNING),
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

    Without --budgets and --waits, budgets vary without waits, and waits vary without a budget; if --control is given,
    there is no limit and no wait instead. Each --control adds its controls to every budget, or stands alone if it
    decides itself when thinking ends. The same command continues a stopped sweep; settings and samples can be added to
    an existing folder.
    """
    from rich.console import Console

    from thinkpace.eval.sweeps.config import merged
    from thinkpace.eval.sweeps.perform import Stopped, perform

    if prompt_file is not None and _was_given(ctx, "prompt"):
        raise ValueError("give --prompt or --prompt-file, not both")
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
