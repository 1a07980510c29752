"""Turn a sweep's configuration into models, questions, prompts, settings and plans."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from thinkpace.adapters.vocabularies.model_files import ModelFiles
from thinkpace.engine import Sampling
from thinkpace.eval import embedded
from thinkpace.eval.engines import engine_kind, read_model
from thinkpace.eval.grading.extract import rules_for, rules_of
from thinkpace.eval.runs.plan import Plan
from thinkpace.eval.runs.settings import Setting, with_controls
from thinkpace.eval.sweeps.config import ELSEWHERE, Config
from thinkpace.eval.sweeps.parse import controls_of, markers_of, new_tokens_of, prompts_named, reserve_of, settings_of
from thinkpace.eval.task import Task
from thinkpace.eval.tasks.registry import task_of
from thinkpace.processors.core.program import compile_program
from thinkpace.processors.text.markers import Markers
from thinkpace.prompts.base import Prompt


def models_of(config: Config) -> list[tuple[str, str]]:
    """Every model on every engine, as (model, engine kind)."""
    return [(model, engine_kind(engine, model)) for model in config.models for engine in config.engines]


def task_for(config: Config) -> Task:
    """The task with its questions."""
    data = None if config.data is None else Path(config.data)
    return task_of(config.task, data, limit=config.limit, seed=config.seed)


def prompts_of(config: Config) -> tuple[Prompt, ...]:
    """The prompts that the questions are put into."""
    file = None if config.prompt_file is None else Path(config.prompt_file)
    return prompts_named(config.prompts, file, config.prefill, config.chat_template_kwargs or {})


def settings_for(config: Config) -> tuple[Setting, ...]:
    """The settings: the grid of budgets and waits, and those that `control` adds."""
    reserve = reserve_of(config.answer_reserve, all(model == embedded.NAME for model in config.models))
    fixed: dict[str, Any] = {"wait": config.wait or None, "final": config.final or None, "answer_reserve": reserve}
    plain = settings_of(config.budgets, config.waits, fixed, bool(config.control))
    return with_controls(plain, map(controls_of, config.control))


def plan_of(
    config: Config, task: Task, prompts: tuple[Prompt, ...], settings: tuple[Setting, ...], max_new_tokens: int
) -> Plan:
    """The plan for one engine.

    Raises:
        ValueError: if the plan is invalid, such as two equal settings.
    """
    grader = task.grader if config.grader is None else config.grader
    return Plan(
        task=task.name,
        examples=task.examples,
        settings=settings,
        prompts=prompts,
        sampling=Sampling(config.temperature, config.top_p, config.top_k, config.min_p),
        samples=config.samples,
        max_new_tokens=max_new_tokens,
        seed=config.seed,
        grader=grader,
        replay=config.replay,
        rules=rules_for(grader, task.official) if config.rules is None else rules_of(config.rules),
    )


def absolute(config: Config) -> Config:
    """A copy that no longer depends on the working directory or on control files.

    Paths become absolute; the controls of a .toml file are written out as they are now.
    """
    controls = [" + ".join(map(repr, controls_of(text))) for text in config.control]
    given = {"data": config.data, "prompt_file": config.prompt_file}
    paths = {name: value and str(Path(value).resolve()) for name, value in given.items()}
    if Path(config.task).is_file():
        paths["task"] = str(Path(config.task).resolve())
    models = [str(Path(model).resolve()) if Path(model).exists() else model for model in config.models]
    return config.model_copy(update=paths | {"control": controls, "models": models})


def folder_of(config: Config, model: str, task: str) -> Path:
    """The default folder of a sweep's results; a digest in its name keeps different sweeps apart."""
    options = config.model_dump(exclude=ELSEWHERE)
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:8]
    return Path("runs") / re.sub(r"[^\w.+-]+", "-", f"{Path(model).name}-{task}-{digest}")


def check(config: Config) -> str:
    """Check a sweep before it runs, without loading weights.

    Returns:
        A sentence that says how much it would generate.

    Raises:
        ValueError: for a mistake; the message says where.
    """
    task, prompts, settings = task_for(config), prompts_of(config), settings_for(config)
    models = models_of(config)
    for model, kind in models:
        files = read_model(model, kind)
        markers = markers_of(config.open_marker, config.close_marker) or _template_markers(files)
        limit = new_tokens_of(config.max_new_tokens, model == embedded.NAME, files.context_tokens, 0)
        plan_of(config, task, prompts, settings, limit)
        for setting in settings:
            compile_program(
                setting.controls,
                files.vocabulary,
                markers,
                max_new_tokens=limit,
                context_tokens=files.context_tokens,
            )
    count = len(task.examples) * len(settings) * len(prompts) * len(models) * config.samples
    return (
        f"{len(task.examples)} questions, {len(settings)} settings, {len(prompts)} prompts, {len(models)} engines, "
        f"{config.samples} samples: {count} generations"
    )


def _template_markers(files: ModelFiles) -> Markers:
    if files.chat_template is None:
        raise ValueError("the model has no chat template to find its markers in: give --open and --close")
    return Markers.from_chat_template(files.chat_template, **files.special)
