"""The commands about sweeps: make one, go on with one, and say what came of it."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from thinkpace.adapters.model_files import ModelFiles
from thinkpace.eval import comparing, embedded, exports, files, publishing
from thinkpace.eval.config import ELSEWHERE, Config, as_text, merged
from thinkpace.eval.engines import engine_kind, look_at, open_engine
from thinkpace.eval.executors import Executor, Here, Opener, Processes
from thinkpace.eval.extraction import RULES, rules_for, rules_of
from thinkpace.eval.flags import Controls
from thinkpace.eval.journal import Journal
from thinkpace.eval.options import controls_of, markers_of, new_tokens_of, reserve_of, settings_of
from thinkpace.eval.plan import Card, Plan
from thinkpace.eval.settings import Setting, with_controls
from thinkpace.eval.sweep import run
from thinkpace.eval.task import Task
from thinkpace.eval.tasks import NAMES as TASKS
from thinkpace.eval.tasks import task_of
from thinkpace.processors.markers import Markers
from thinkpace.processors.program import compile_program
from thinkpace.processors.request import Sampling
from thinkpace.prompts.base import Prompt
from thinkpace.prompts.published import NAMES as PROMPTS
from thinkpace.prompts.published import named

Folder = Annotated[Path, typer.Argument(help="Of a sweep.")]


def add_to(app: typer.Typer) -> None:
    """Make these commands part of the command line."""
    for command in (sweep, resume, report, compare, ls, validate):
        app.command()(command)


def sweep(
    file: Annotated[
        Path | None, typer.Argument(help="TOML with the names of these options; they go before it.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Folder or hub name of a model, or a .gguf file, once or more; the embedded one by default."),
    ] = None,
    engine: Annotated[
        list[str] | None, typer.Option(help="hf, llama.cpp or vllm, once or more; by default what the model asks for.")
    ] = None,
    task: Annotated[str | None, typer.Option(help=f"{', '.join(TASKS)}; a file; or a data set's id.")] = None,
    data: Annotated[str | None, typer.Option(help="A file with the questions of a published task.")] = None,
    grader: Annotated[
        str | None, typer.Option(help="same, exact, numeric, choice or math; by default the task's.")
    ] = None,
    rules: Annotated[
        str | None, typer.Option(help=f"Where answers stand: {', '.join(RULES)}; by default the task's first.")
    ] = None,
    budgets: Annotated[str | None, typer.Option(help="Thinking tokens at most, such as 0,512,none.")] = None,
    waits: Annotated[
        str | None, typer.Option(help="Extensions, such as 0,1,2; every budget with every number.")
    ] = None,
    control: Controls = None,
    wait: Annotated[str | None, typer.Option(help="What is written instead of closing; 'Wait'.")] = None,
    final: Annotated[
        str | None, typer.Option(help="Written after a forced close; 'Final Answer:'; empty: none.")
    ] = None,
    prompt: Annotated[
        list[str] | None, typer.Option(help=f"What is said around a question, once or more: {', '.join(PROMPTS)}.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is greedy; 1 by default.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Nucleus; 1 is off.")] = None,
    top_k: Annotated[int | None, typer.Option(help="0 is off.")] = None,
    min_p: Annotated[float | None, typer.Option(help="Least part of the likeliest's probability; 0 is off.")] = None,
    samples: Annotated[int | None, typer.Option(help="Repetitions per question; 1.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything; 0.")] = None,
    limit: Annotated[int | None, typer.Option(help="Questions at most; 256 of the embedded tasks by default.")] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="Output tokens at most; 800 for the embedded model, else 4096, or what fits.")
    ] = None,
    answer_reserve: Annotated[
        int | None, typer.Option(help="Of these, tokens kept for the answer; 16 for the embedded model, else 100.")
    ] = None,
    open_marker: Annotated[str | None, typer.Option("--open", help="Opening marker, if it cannot be found.")] = None,
    close_marker: Annotated[str | None, typer.Option("--close", help="Closing marker, likewise.")] = None,
    replay: Annotated[
        bool | None,
        typer.Option("--replay/--no-replay", help="Take from the longest run what the others share with it."),
    ] = None,
    parallel: Annotated[int | None, typer.Option(help="Sequences at once; by default what the engine chooses.")] = None,
    executor: Annotated[str | None, typer.Option(help="here, processes (of this machine) or ray (a cluster).")] = None,
    workers: Annotated[int | None, typer.Option(help="Engines of the other two; 2.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results; runs/<name> by default.")] = None,
) -> None:
    """Accuracy against thinking tokens: every budget with every number of waits, on the same questions.

    Without --budgets and --waits: a line of budgets without waits, and a line of waits without a budget; with
    --control: no limit. Each --control adds its controls to every budget, or stands alone if it decides itself when
    thinking ends. The same command goes on where it was stopped; into a folder that exists, settings and samples can
    be added.
    """
    given = {
        name: value for name, value in locals().items() if name not in ("file", "out", "model", "engine", "prompt")
    }
    lists = {"models": model, "engines": engine, "prompts": prompt}
    _sweep(merged(file, given | {name: value or None for name, value in lists.items()}), out)


def resume(
    folder: Folder,
    samples: Annotated[int | None, typer.Option(help="Repetitions per question: more than before adds some.")] = None,
    executor: Annotated[str | None, typer.Option(help="here, processes or ray.")] = None,
    workers: Annotated[int | None, typer.Option(help="Engines of the other two.")] = None,
    parallel: Annotated[int | None, typer.Option(help="Sequences at once.")] = None,
) -> None:
    """Go on with a sweep: what is missing, and what ended in an error, is done; nothing is done twice."""
    with Journal(folder / publishing.JOURNAL, must_exist=True) as journal:
        kept = json.loads(journal.noted("sweeps") or "[]")
    if not kept:
        raise ValueError(f"{folder} was not made by 'thinkpace sweep': nothing tells how to go on")
    flags = {"samples": samples, "executor": executor, "workers": workers, "parallel": parallel}
    for one in kept:  # a folder that was extended holds several
        _sweep(merged(None, flags, one), folder)


def report(
    folder: Folder,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help=f"Also {', '.join(exports.FORMATS)}, once or more."),
    ] = None,
) -> None:
    """Write results.csv, ledger.csv, samples.jsonl, the curves and report.html of a sweep anew; and exports.

    A format that was asked for once is written whenever these are.
    """
    for name in formats or ():
        if name not in exports.FORMATS:
            raise ValueError(f"--format must be one of {', '.join(exports.FORMATS)}, got {name!r}")
    console = Console()
    with Journal(folder / publishing.JOURNAL, must_exist=True) as journal:
        publishing.also(journal, formats or ())
        publishing.publish(journal, folder, console)


def compare(
    folders: Annotated[list[Path], typer.Argument(help="One sweep, or several on the same questions.")],
    against: Annotated[
        str | None, typer.Option(help="The row that all others are compared with, by number; the first by default.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A CSV file for the same numbers.")] = None,
) -> None:
    """Paired differences between any settings on the same questions: bootstrap interval, McNemar, Holm's correction."""
    rows = comparing.compare(folders, 1 if against is None else comparing.row_of(against))
    if out is not None:
        files.write_table(rows, comparing.Comparison, out)
    Console().print(comparing.table(rows))


def ls(
    folder: Annotated[Path, typer.Argument(help="Where sweeps are looked for.")] = Path("runs"),
) -> None:
    """List the sweeps under a folder, and how far each has come."""
    found = sorted(path.parent for path in folder.rglob(publishing.JOURNAL)) if folder.is_dir() else []
    if not found:
        raise ValueError(f"there are no sweeps in {folder}")
    table = Table(box=None, pad_edge=False)
    for column in ("folder", "task", "engines", "settings", "questions", "samples", "errors"):
        table.add_column(
            column, justify="right" if column in ("settings", "questions", "samples", "errors") else "left"
        )
    for path in found:
        try:
            with Journal(path / publishing.JOURNAL, must_exist=True) as journal:
                points, come = journal.points, journal.progress
                names = ", ".join(dict.fromkeys(point.engine for point in points))
                cells = (len(points), len(journal.questions), f"{come.there}/{come.wanted}", come.failed)
                table.add_row(str(path), points[0].task if points else "", names, *map(str, cells))
        except ValueError as error:
            table.add_row(str(path), str(error))
    Console().print(table)


def validate(
    what: Annotated[Path, typer.Argument(help="A sweep's TOML file, or the folder of a sweep.")],
) -> None:
    """Look for mistakes: in a file before it is run, without loading weights; in a folder after it was.

    Exit code 0 if there are none.
    """
    console = Console()
    if what.is_dir():
        with Journal(what / publishing.JOURNAL, must_exist=True) as journal:
            for line in publishing.checked(journal, what):
                console.print(line, highlight=False, soft_wrap=True)
        return
    config = merged(what, {})
    asked, prompts, settings = _asked(config), _prompts(config), _settings(config)
    for model, kind in _models(config):
        looked = look_at(model, kind)
        markers = markers_of(config.open_marker, config.close_marker) or _found(looked)
        limit = new_tokens_of(config.max_new_tokens, model == embedded.NAME, looked.context_tokens, 0)
        _plan(config, asked, prompts, settings, limit)
        for setting in settings:
            compile_program(
                setting.controls,
                looked.vocabulary,
                markers,
                max_new_tokens=limit,
                context_tokens=looked.context_tokens,
            )
    console.print(
        f"{len(asked.examples)} questions, {len(settings)} settings, {len(prompts)} prompts, "
        f"{len(_models(config))} engines, {config.samples} samples: "
        f"{len(asked.examples) * len(settings) * len(prompts) * len(_models(config)) * config.samples} generations",
        highlight=False,
    )


def _models(config: Config) -> list[tuple[str, str]]:
    """Every model on every engine, as (model, kind of engine)."""
    return [(model, engine_kind(engine, model)) for model in config.models for engine in config.engines]


def _asked(config: Config) -> Task:
    data = None if config.data is None else Path(config.data)
    return task_of(config.task, data, limit=config.limit, seed=config.seed)


def _prompts(config: Config) -> tuple[Prompt, ...]:
    return tuple(named(name) for name in config.prompts)


def _settings(config: Config) -> tuple[Setting, ...]:
    reserve = reserve_of(config.answer_reserve, all(model == embedded.NAME for model in config.models))
    fixed: dict[str, Any] = {"wait": config.wait or None, "final": config.final or None, "answer_reserve": reserve}
    plain = settings_of(config.budgets, config.waits, fixed, bool(config.control))
    return with_controls(plain, map(controls_of, config.control))


def _executor(config: Config, opener: Opener) -> AbstractContextManager[Executor]:
    if config.executor == "processes":
        return Processes(opener, config.workers)
    if config.executor == "ray":
        from thinkpace.eval.ray_executor import OnRay

        return OnRay(opener, config.workers)
    return nullcontext(Here(opener()))


def _sweep(config: Config, out: Path | None) -> None:
    console, folder, config = Console(), out, _absolute(config)
    asked, prompts, settings = _asked(config), _prompts(config), _settings(config)
    if config.temperature == 0 and config.samples > 1:
        console.print("temperature 0: all samples of a question are the same, and say nothing that one does not")
    markers, limit = markers_of(config.open_marker, config.close_marker), config.max_new_tokens
    for model, kind in _models(config):
        with _executor(config, functools.partial(open_engine, model, kind, markers, config.parallel)) as executor:
            card = executor.call(Card.of, prompts, asked.examples)
            # the same for all engines, so that they can be compared
            limit = new_tokens_of(limit, model == embedded.NAME, card.context_tokens, card.longest)
            plan = _plan(config, asked, prompts, settings, limit)
            name = re.sub(r"[^\w.+-]+", "-", f"{Path(model).name}-{plan.task}-{_digest(config)}")
            folder = folder or Path("runs") / name
            _one(plan, executor, card, folder, config, console)
    assert folder is not None
    with Journal(folder / publishing.JOURNAL) as journal:
        publishing.publish(journal, folder, console)


def _plan(config: Config, asked: Task, prompts: tuple[Prompt, ...], settings: tuple[Setting, ...], limit: int) -> Plan:
    grader = asked.grader if config.grader is None else config.grader
    return Plan(
        asked.name,
        asked.examples,
        settings,
        prompts,
        Sampling(config.temperature, config.top_p, config.top_k, config.min_p),
        config.samples,
        limit,
        config.seed,
        grader,
        config.replay,
        rules_for(grader, asked.official) if config.rules is None else rules_of(config.rules),
    )


def _absolute(config: Config) -> Config:
    """The same from any folder: files by their whole paths, and controls of a file as they stand in it now."""
    controls = [" + ".join(map(repr, controls_of(text))) for text in config.control]
    paths = {name: value and str(Path(value).resolve()) for name, value in (("data", config.data),)}
    if Path(config.task).is_file():
        paths["task"] = str(Path(config.task).resolve())
    models = [str(Path(model).resolve()) if Path(model).exists() else model for model in config.models]
    return config.model_copy(update=paths | {"control": controls, "models": models})


def _one(plan: Plan, executor: Executor, card: Card, folder: Path, config: Config, console: Console) -> None:
    """One engine's part of a sweep."""
    count = len(plan.settings) * len(plan.prompts)
    console.print(f"{count} settings, {len(plan.examples)} questions; results in {folder}", soft_wrap=True)
    columns = (TextColumn("[progress.description]{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        Journal(folder / publishing.JOURNAL) as journal,
        Progress(*columns, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=console) as bar,
    ):
        shown = bar.add_task(f"{plan.task} on {card.name}", total=count * len(plan.examples) * plan.samples)
        try:
            run(plan, executor, journal, card, lambda done: bar.advance(shown, done), lambda: _kept(journal, config))
        except KeyboardInterrupt:
            console.print(f"stopped; what was done is kept in {folder}, and the same command goes on from there")
            raise typer.Exit(130) from None


def _kept(journal: Journal, config: Config) -> None:
    """What `resume`, `ls` and the reports want to know of the sweep."""
    kept = json.loads(journal.noted("sweeps") or "[]")
    # the same one with more samples, or elsewhere, takes the place of what it was
    own = config.model_dump(exclude={*ELSEWHERE, "samples"})
    others = [one for one in kept if merged(None, {}, one).model_dump(exclude={*ELSEWHERE, "samples"}) != own]
    journal.note("sweeps", json.dumps([*others, as_text(config)]))


def _digest(config: Config) -> str:
    told = config.model_dump(exclude=ELSEWHERE)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]


def _found(looked: ModelFiles) -> Markers:
    if looked.chat_template is None:
        raise ValueError("the model has no chat template to find its markers in: give --open and --close")
    return Markers.from_chat_template(looked.chat_template, **looked.special)
