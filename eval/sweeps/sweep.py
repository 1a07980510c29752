"""`thinkpace.sweep`: the command `thinkpace sweep` as a function."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from thinkpace.errors import MissingExtra
from thinkpace.processors.core.control import Control
from thinkpace.processors.spec import check_kept

try:
    from rich.console import Console

    from thinkpace.eval.sweeps.config import merged
    from thinkpace.eval.sweeps.perform import perform
    from thinkpace.eval.sweeps.results import SweepResults
except ModuleNotFoundError as error:
    raise MissingExtra("sweeps", "eval") from error

Controls = str | Path | Control | Sequence[str | Control]


def sweep(
    file: str | Path | None = None,
    *,
    model: str | Path | Sequence[str | Path] | None = None,
    engine: str | Sequence[str] | None = None,
    parallel: int | None = None,
    context: int | None = None,
    threads: int | None = None,
    gpu_layers: int | None = None,
    open: str | None = None,  # noqa: A002  # the name of the option
    close: str | None = None,
    task: str | Path | None = None,
    data: str | Path | None = None,
    limit: int | None = None,
    prompt: str | Sequence[str] | None = None,
    prompt_file: str | Path | None = None,
    prefill: str | None = None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
    budgets: str | int | Iterable[int | None] | None = None,
    waits: str | int | Iterable[int] | None = None,
    control: Controls | Sequence[Controls] | None = None,
    wait: str | None = None,
    final: str | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    min_p: float | None = None,
    samples: int | None = None,
    seed: int | None = None,
    max_new_tokens: int | None = None,
    answer_reserve: int | None = None,
    grader: str | None = None,
    rules: str | Sequence[str] | None = None,
    replay: bool | None = None,
    executor: str | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> SweepResults:
    """Measure accuracy against thinking tokens, as `thinkpace sweep` does. A folder that exists is continued.

    Options have the names and defaults of the command; `thinkpace sweep --help` describes them.

    Args:
        file: a TOML file with these options; arguments override it.
        model, engine, prompt: one, or several.
        budgets: such as "0,512,none" or [0, 512, None]; None in a list is no limit.
        waits: such as "0,1,2" or [0, 1, 2].
        control: controls as text (their `repr`) or as objects. A list of objects is one setting, added to each budget.
            In a sequence of texts or of lists, each element is a setting of its own.
        out: the folder for the results; by default one under `runs`.
        progress: whether to show progress and the table of results.

    Returns:
        The results: `print` shows the table; `rows`, `dataframe()`, `plot()` and `report()` give the rest.

    Raises:
        MissingExtra: without the extra `eval`, on import.
        UnsupportedControl: before anything is generated, if a control cannot work.
        TypeError: for a `control` that is neither text nor a control.
        ValueError, OSError: where the command reports an error.
    """
    flags: dict[str, Any] = {
        "models": _texts(model),
        "engines": _texts(engine),
        "prompts": _texts(prompt),
        "control": None if control is None else _control_texts(control),
        "budgets": _joined(budgets),
        "waits": _joined(waits),
        "rules": _joined(rules),
        "task": None if task is None else str(task),
        "data": None if data is None else str(data),
    }
    flags |= {
        "prompt_file": None if prompt_file is None else str(prompt_file),
        "prefill": prefill,
        "chat_template_kwargs": None if chat_template_kwargs is None else dict(chat_template_kwargs),
        "parallel": parallel,
        "context": context,
        "threads": threads,
        "gpu_layers": gpu_layers,
        "open_marker": open,
        "close_marker": close,
        "limit": limit,
        "wait": wait,
        "final": final,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "min_p": min_p,
        "samples": samples,
        "seed": seed,
        "max_new_tokens": max_new_tokens,
        "answer_reserve": answer_reserve,
        "grader": grader,
        "replay": replay,
        "executor": executor,
        "workers": workers,
    }
    config = merged(None if file is None else Path(file), flags)
    console = Console() if progress else Console(file=io.StringIO())
    return SweepResults(perform(config, None if out is None else Path(out), console))


def _texts(value: str | Path | Sequence[str | Path] | None) -> list[str] | None:
    """One value or several as a list of texts."""
    if value is None:
        return None
    return [str(value)] if isinstance(value, str | Path) else [str(item) for item in value]


def _joined(value: str | int | Iterable[int | str | None] | None) -> str | None:
    """Join numbers or names with commas; None becomes "none", no limit."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, Iterable):
        raise TypeError(f"budgets, waits and rules must be text, a number, or a list, got {value!r}")
    return ",".join("none" if item is None else str(item) for item in value)


def _control_texts(control: Controls | Sequence[Controls]) -> list[str]:
    """One text per setting."""
    if isinstance(control, str | Path | Control):
        return [_control_text(control)]
    if not isinstance(control, Iterable):
        raise TypeError(f"control must be text, a control, or lists of these, got {control!r}")
    parts = list(control)
    if parts and all(isinstance(part, Control) for part in parts):  # one setting of several controls
        return [_control_text([part for part in parts if isinstance(part, Control)])]
    return [_control_text(part) for part in parts]


def _control_text(control: Controls) -> str:
    if isinstance(control, str | Path):
        return str(control)
    parts: list[Any] = list(control) if isinstance(control, Iterable) else [control]
    return " + ".join(map(_part_text, parts))


def _part_text(part: Any) -> str:
    if isinstance(part, str | Path):
        return str(part)
    if not isinstance(part, Control):
        raise TypeError(f"control must be text, a control, or lists of these, got {part!r}")
    check_kept(part)
    return repr(part)
