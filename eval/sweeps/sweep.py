"""`thinkpace.sweep`: the command of this name as a function."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from thinkpace.errors import MissingExtra
from thinkpace.processors.core.control import Control

try:
    from rich.console import Console

    from thinkpace.eval.sweeps.config import merged
    from thinkpace.eval.sweeps.perform import perform
    from thinkpace.eval.sweeps.results import SweepResults
except ModuleNotFoundError as error:
    raise MissingExtra("sweeps", "eval") from error

Controls = str | Control | Sequence[Control]


def sweep(
    file: str | Path | None = None,
    *,
    model: str | Path | Sequence[str | Path] | None = None,
    engine: str | Sequence[str] | None = None,
    parallel: int | None = None,
    open_marker: str | None = None,
    close_marker: str | None = None,
    task: str | Path | None = None,
    data: str | Path | None = None,
    limit: int | None = None,
    prompt: str | Sequence[str] | None = None,
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
    """Measure accuracy against thinking tokens, as `thinkpace sweep` does; into the same folder it goes on.

    Options have the names of the command's; what is not given is as there. `thinkpace sweep --help` describes them.

    Args:
        file: a TOML file with these options; what is given here goes before it.
        model, engine, prompt: one, or several.
        budgets: such as "0,512,none" or [0, 512, None]; None in a list is no limit.
        waits: such as "0,1,2" or [0, 1, 2].
        control: controls as they print, or as objects; one list of them stands for one setting beside each budget. Of
            a sequence of texts, or of lists, each is a setting of its own.
        out: the folder of the results; under `runs` if it is not given.
        progress: whether progress and the table are shown while it runs.

    Returns:
        The results: they print as the table, and give `rows`, `dataframe()`, `plot()` and `report()`.

    Raises:
        MissingExtra: without the extra `eval`, on import.
        UnsupportedControl: before anything is generated, if a control cannot work.
        ValueError, OSError: as the command would say.
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
        "parallel": parallel,
        "open_marker": open_marker,
        "close_marker": close_marker,
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
    """One or several, as the configuration has them."""
    if value is None:
        return None
    return [str(value)] if isinstance(value, str | Path) else [str(one) for one in value]


def _joined(value: str | int | Iterable[int | str | None] | None) -> str | None:
    """Numbers or names with commas between; None among them is no limit."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    return ",".join("none" if one is None else str(one) for one in value)


def _control_texts(control: Controls | Sequence[Controls]) -> list[str]:
    """A text per setting."""
    if isinstance(control, str | Control):
        return [_control_text(control)]
    parts = list(control)
    if parts and all(isinstance(one, Control) for one in parts):  # one setting of several controls
        return [_control_text([one for one in parts if isinstance(one, Control)])]
    return [_control_text(one) for one in parts]


def _control_text(control: Controls) -> str:
    if isinstance(control, str):
        return control
    return " + ".join(map(repr, [control] if isinstance(control, Control) else control))
