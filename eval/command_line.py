"""The command line: run, doctor, grade and serve here; sweep, resume, report, compare, ls and validate beside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from thinkpace.errors import MissingExtra

try:
    import typer
    from rich.console import Console
    from rich.text import Text

    from thinkpace.eval import doctor, embedded, extraction, grading, recorded, sweep_commands
    from thinkpace.eval.engines import LLAMA_CPP, engine_kind, look_at, open_engine, open_llama_cpp
    from thinkpace.eval.flags import (
        Close,
        Controls,
        EngineName,
        Final,
        MinP,
        Model,
        NewTokens,
        Open,
        Parallel,
        Reserve,
        Temperature,
        TopK,
        TopP,
        Wait,
    )
    from thinkpace.eval.options import controls_of, markers_of, new_tokens_of, number_of, reserve_of
    from thinkpace.eval.unit import asked_in
except ModuleNotFoundError as error:
    raise MissingExtra("the command line", "eval") from error

from thinkpace.processors.base import Control
from thinkpace.processors.budget import BudgetForcing
from thinkpace.processors.markers import Markers
from thinkpace.processors.request import Completion, Engine, Request, Sampling
from thinkpace.prompts.published import NAMES, named

STYLES = {"thinking": "", "injected": "bold yellow", "closing": "bold yellow", "marker": "dim", "answer": "bold green"}

HELP = "Set the pace at which a reasoning model thinks, and measure what the thinking bought."

app = typer.Typer(add_completion=False, no_args_is_help=True, help=HELP, pretty_exceptions_enable=False)
sweep_commands.add_to(app)

PromptName = Annotated[str, typer.Option("--prompt", help=f"What is said around it: {', '.join(NAMES)}.")]


@app.command("run")
def run_one(
    question: Annotated[
        str, typer.Argument(help="What is asked. For the embedded model: see 'thinkpace sweep' tasks.")
    ],
    model: Model = embedded.NAME,
    engine: EngineName = None,
    control: Controls = None,
    budget: Annotated[str, typer.Option(help="Thinking tokens at most, or none.")] = "none",
    min_tokens: Annotated[int, typer.Option(help="Thinking tokens at least.")] = 0,
    waits: Annotated[int, typer.Option(help="Extensions.")] = 0,
    wait: Wait = "Wait",
    final: Final = "Final Answer:",
    prompt: PromptName = "step-by-step",
    temperature: Temperature = 1.0,
    top_p: TopP = 1.0,
    top_k: TopK = 0,
    min_p: MinP = 0.0,
    seed: int = 0,
    max_new_tokens: NewTokens = None,
    answer_reserve: Reserve = None,
    open_marker: Open = None,
    close_marker: Close = None,
) -> None:
    """One generation: thinking plain, what was written for the model yellow, markers dim, the answer green."""
    is_embedded = model == embedded.NAME
    controls = tuple(one for text in control or () for one in controls_of(text))
    if not any(one.decides_end for one in controls):
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
    sampling = Sampling(temperature, top_p, top_k, min_p)
    style = named(prompt)
    if not question.strip():
        raise ValueError("the question is empty")
    try:
        question.encode()
    except UnicodeEncodeError:
        raise ValueError("the question is no text: it holds bytes that are not UTF-8") from None
    runs = open_engine(model, engine_kind(engine, model), markers_of(open_marker, close_marker))
    asked = asked_in(runs, style, question)
    new_tokens = new_tokens_of(max_new_tokens, is_embedded, runs.context_tokens, len(asked))
    [made] = runs.generate([Request(asked, controls, new_tokens, sampling, seed)])
    _show(Console(), made, runs)


@app.command("doctor")
def examine_model(
    model: Model = embedded.NAME,
    engine: EngineName = None,
    control: Controls = None,
    open_marker: Open = None,
    close_marker: Close = None,
) -> None:
    """What a model's tokenizer and chat template, and the engine, will and won't honour; nothing is generated.

    Without --control one of each kind is looked at. Exit code 0 if all will work, 1 if something is refused.
    """
    kind = engine_kind(engine, model)
    files = look_at(model, kind)
    chains, unread = list[tuple[Control, ...]](), list[doctor.Finding]()
    for text in control or ():
        try:
            chains.append(controls_of(text))
        except (ValueError, TypeError) as error:
            unread.append(doctor.Finding("control", "refused", text, str(error)))
    findings = doctor.examine(
        files.vocabulary,
        files.chat_template,
        markers=markers_of(open_marker, close_marker),
        controls=chains,
        usual=not control,
        context_tokens=files.context_tokens,
        special=files.special,
        engine=kind,
    )
    findings += unread
    console = Console()
    for finding in findings:
        mark = {"works": "[green]works  [/]", "refused": "[bold red]refused[/]", "note": "[dim]note   [/]"}
        console.print(f"{mark[finding.verdict]} {finding.topic:10}", end=" ", highlight=False)
        console.print(f"{finding.subject}: {finding.says}", highlight=False, markup=False, soft_wrap=True)
    if not doctor.all_work(findings):
        raise typer.Exit(1)


@app.command("grade")
def grade_file(
    file: Annotated[Path, typer.Argument(help="JSON lines with id, answer and text.")],
    grader: Annotated[str, typer.Option(help=f"One of {', '.join(grading.NAMES)}.")],
    out: Annotated[Path, typer.Option(help="Where the same lines go, with verdict and extracted.")],
    open_marker: Open = None,
    close_marker: Close = None,
    opened: Annotated[
        bool | None, typer.Option("--opened/--not-opened", help="Whether the prompt had opened thinking.")
    ] = None,
    final: Annotated[str | None, typer.Option(help="Another text that the answer may follow.")] = None,
    rules: Annotated[
        str | None, typer.Option(help=f"Where it stands, with commas between: {', '.join(extraction.RULES)}.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes of the math grader; one per CPU.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0.1, help="Seconds that it may take for one answer.")] = None,
) -> None:
    """Grade recorded outputs: right, wrong, truncated, no_answer or error for each.

    The answer is taken from what follows the thinking; a text whose thinking never closes is truncated. It is what
    follows "Final Answer:", the last \\boxed{}, "####", "answer is" or a last line "A:", or the only word there is, in
    this order; with --rules what these find, in theirs.
    """
    if out.resolve() == file.resolve():
        raise ValueError("--out is the file itself: name another one")
    markers = markers_of(open_marker, close_marker) or Markers("<think>", "</think>")
    rows = recorded.graded(
        recorded.read(file),
        grader,
        markers=replace(markers, opened_by_prompt=opened),
        final=final,
        rules=None if rules is None else extraction.rules_of(rules),
        workers=workers,
        timeout=timeout,
    )
    recorded.write(rows, out)
    for verdict, count in recorded.counts(rows).most_common():
        Console().print(f"{verdict:10} {count}", highlight=False)


@app.command("serve")
def serve_model(
    model: Model = embedded.NAME,
    engine: Annotated[str, typer.Option(help="llama.cpp; for vLLM use its own server.")] = LLAMA_CPP,
    control: Controls = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; by default only this machine can ask.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 for any that is free.")] = 8080,
    parallel: Parallel = None,
    context: Annotated[int | None, typer.Option(help="Tokens of one sequence at most.")] = None,
    threads: Annotated[int, typer.Option(help="0 for one per CPU that may be used.")] = 0,
    gpu_layers: Annotated[int, typer.Option(help="Layers kept on a GPU; -1 for all.")] = 0,
    open_marker: Open = None,
    close_marker: Close = None,
) -> None:
    """An OpenAI-compatible server: /v1/chat/completions and /v1/completions, with budgets and controls per request.

    --control holds for requests that do not bring their own.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"--port must be between 0 and 65535, got {port}")
    if engine_kind(engine, model) != LLAMA_CPP:
        raise ValueError(f"serve runs with --engine {LLAMA_CPP}; for vLLM use its own server")
    from thinkpace.adapters.server import make_app, run_app

    standing = tuple(one for text in control or () for one in controls_of(text))
    runs = open_llama_cpp(model, markers_of(open_marker, close_marker), parallel, context, threads, gpu_layers)
    served = make_app(runs, controls=standing, name=embedded.NAME if model == embedded.NAME else Path(model).stem)
    run_app(served, host, port, lambda url: Console().print(f"serving on {url}/v1", highlight=False))


def _show(console: Console, made: Completion, engine: Engine) -> None:
    """The text by kind (on a plain terminal, in brackets), then the receipt."""
    text = Text()
    plain = not console.is_terminal
    start = 0
    for end in range(1, len(made.tokens) + 1):
        if end < len(made.tokens) and made.kinds[end] == made.kinds[start]:
            continue
        kind = made.kinds[start]
        piece = engine.vocabulary.decode(made.tokens[start:end])
        text.append(f"[{kind}: {piece}]" if plain and kind != "thinking" else piece, STYLES[kind])
        start = end
    console.print(text, soft_wrap=True)
    receipt, usage = made.receipt, made.usage
    console.rule("receipt")
    console.print(f"armed      {', '.join(receipt.armed)}", highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"tokens     prompt {usage.prompt}, thinking {usage.thinking}, forced {usage.forced}, marker {usage.marker}, "
        f"answer {usage.answer}; {receipt.thinking_tokens} count against the budget",
        highlight=False,
    )
    console.print(f"end        thinking: {receipt.end}; sequence: {made.finish_reason}", highlight=False)
    for event in receipt.events:
        tokens = engine.vocabulary.decode(event.tokens)
        shown = f"fired      token {event.at}: {event.what} ({event.why}) {tokens!r}"
        console.print(shown, highlight=False, markup=False, soft_wrap=True)
