"""Perform a sweep: run its engines one after another, fill its journal and publish the results."""

from __future__ import annotations

import functools
import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from rich.console import Console

from thinkpace.eval import embedded
from thinkpace.eval.engines import open_engine
from thinkpace.eval.executors.local import Executor, Here, Opener, Processes
from thinkpace.eval.report.provenance import remember
from thinkpace.eval.report.publish import JOURNAL, publish
from thinkpace.eval.runs.journal import Journal
from thinkpace.eval.runs.machine import machine
from thinkpace.eval.runs.plan import EngineInfo, Plan
from thinkpace.eval.runs.run import run
from thinkpace.eval.sweeps.config import ELSEWHERE, Config, as_text, command_of, merged
from thinkpace.eval.sweeps.parse import markers_of, new_tokens_of
from thinkpace.eval.sweeps.prepare import absolute, folder_of, models_of, plan_of, prompts_of, settings_for, task_for
from thinkpace.eval.sweeps.progress import progress


class Stopped(KeyboardInterrupt):
    """The user interrupted a sweep; finished samples are in the journal.

    Args:
        folder: of the sweep.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(f"stopped; finished samples are kept in {folder}, and the same command continues from there")
        self.folder = folder


def perform(config: Config, out: Path | None, console: Console) -> Path:
    """Generate the samples that a sweep's folder lacks, then write its tables, plots and page.

    Args:
        config: the sweep.
        out: the folder; None for a folder under `runs`, named after the sweep.
        console: shows progress and the table of results.

    Returns:
        The folder.

    Raises:
        Stopped: if the user interrupts it.
        UnsupportedControl: before anything is generated, if a control cannot work.
        ValueError: for a mistake in the sweep, or if all samples failed.
        OSError: if the journal cannot be written.
    """
    folder, config = out, absolute(config)
    task, prompts, settings = task_for(config), prompts_of(config), settings_for(config)
    if config.temperature == 0 and config.samples > 1:
        console.print("temperature 0: all samples of a question are the same; one would do")
    markers, limit = markers_of(config.open_marker, config.close_marker), config.max_new_tokens
    for model, kind in models_of(config):
        opener = functools.partial(
            open_engine,
            model,
            kind,
            markers,
            config.parallel,
            context_tokens=config.context,
            threads=config.threads,
            gpu_layers=config.gpu_layers,
        )
        with _executor(config, opener) as executor:
            card = executor.call(EngineInfo.of, prompts, task.examples)
            # all engines get the same limit, so that they can be compared
            limit = new_tokens_of(limit, model == embedded.NAME, card.context_tokens, card.longest)
            plan = plan_of(config, task, prompts, settings, limit)
            folder = folder or folder_of(config, model, plan.task)
            _on_one_engine(plan, executor, card, folder, config, console)
    assert folder is not None
    with Journal(folder / JOURNAL) as journal:
        publish(journal, folder, console)
    return folder


def _executor(config: Config, opener: Opener) -> AbstractContextManager[Executor]:
    if config.executor == "processes":
        return Processes(opener, config.workers)
    if config.executor == "ray":
        from thinkpace.eval.executors.ray import OnRay

        return OnRay(opener, config.workers)
    return nullcontext(Here(opener()))


def _on_one_engine(
    plan: Plan, executor: Executor, card: EngineInfo, folder: Path, config: Config, console: Console
) -> None:
    count = len(plan.settings) * len(plan.prompts)
    console.print(f"{count} settings, {len(plan.examples)} questions; results in {folder}", soft_wrap=True)
    total = count * len(plan.examples) * plan.samples
    with (
        Journal(folder / JOURNAL) as journal,
        progress(console, f"{plan.task} on {card.name}", total) as advance,
    ):
        try:
            run(
                plan,
                executor,
                journal,
                card,
                progress=advance,
                started=lambda: _keep(journal, config),
            )
        except KeyboardInterrupt:
            raise Stopped(folder) from None


def _keep(journal: Journal, config: Config) -> None:
    """Store the configuration in the journal, for `resume`."""
    stored = json.loads(journal.get_meta("sweeps") or "[]")
    # a configuration that differs only in its samples or in `ELSEWHERE` replaces the stored one
    identity = config.model_dump(exclude={*ELSEWHERE, "samples"})
    others = [text for text in stored if merged(None, {}, text).model_dump(exclude={*ELSEWHERE, "samples"}) != identity]
    journal.set_meta("sweeps", json.dumps([*others, as_text(config)]))
    remember(journal, command_of(config), machine())
