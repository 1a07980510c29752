"""Tasks by name: their questions, their source, and how answers to them are extracted and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from thinkpace.errors import MissingExtra, suggestion
from thinkpace.eval.embedded import problems
from thinkpace.eval.task import Example, Task
from thinkpace.eval.tasks.load import FORMS, examples_of, load

EMBEDDED = ("chain", "search")
EMBEDDED_QUESTIONS = 256


@dataclass(frozen=True, slots=True)
class PublishedTask:
    """A published task.

    Args:
        hub: name, configuration and split for the `datasets` library.
        grader: how its authors compare answers, or our nearest grader.
        official: where its authors look for the answer; one of `grading.rules.RULES`.
        source: publication of the task.
    """

    hub: tuple[str, str | None, str]
    grader: str
    official: str
    source: str


KNOWN: Mapping[str, PublishedTask] = {
    "gsm8k": PublishedTask(
        ("openai/gsm8k", "main", "test"), "numeric", "hashes", "Cobbe et al. 2021, arXiv 2110.14168"
    ),
    "math500": PublishedTask(
        ("HuggingFaceH4/MATH-500", None, "test"), "math", "boxed", "Lightman et al. 2023, arXiv 2305.20050"
    ),
    "aime24": PublishedTask(("HuggingFaceH4/aime_2024", None, "train"), "numeric", "boxed", "MAA, AIME I and II 2024"),
    "aime25": PublishedTask(("math-ai/aime25", None, "test"), "numeric", "boxed", "MAA, AIME I and II 2025"),
    "amc23": PublishedTask(("math-ai/amc23", None, "test"), "numeric", "boxed", "MAA, AMC 12 2023"),
    "bbh-date": PublishedTask(
        ("lukaemon/bbh", "date_understanding", "test"), "choice", "said", "Suzgun et al. 2022, arXiv 2210.09261"
    ),
    "bbh-sports": PublishedTask(("lukaemon/bbh", "sports_understanding", "test"), "exact", "said", "the same"),
    "coin-flip": PublishedTask(
        ("skrishna/coin_flip", None, "test"), "exact", "said", "Wei et al. 2022, arXiv 2201.11903, section 5"
    ),
}
TASK_NAMES = (*EMBEDDED, *KNOWN)


def task_of(name: str, data: Path | None = None, *, limit: int | None = None, seed: int = 0) -> Task:
    """Load a task by name.

    Args:
        name: one of `TASK_NAMES`; a file (`load`); or the id of a data set on the hub, optionally with configuration
            and split after colons: "openai/gsm8k:main:test".
        data: a file with the questions of one of `KNOWN`, used instead of a download.
        limit: maximum number of questions; the first ones are taken.
        seed: of the embedded tasks, which are generated.

    Raises:
        ValueError: for any other name, and for an invalid file or data set.
        FileNotFoundError: if there is no such file.
        MissingExtra: for a download without the `datasets` library.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"--limit must be >= 1, got {limit}")
    if name in EMBEDDED and data is None:
        generated = problems.examples(name, limit or EMBEDDED_QUESTIONS, seed=seed)  # type: ignore[arg-type]  # one of them
        return Task(name, tuple(generated))
    if name in KNOWN:
        published = KNOWN[name]
        examples = load(data) if data is not None else _downloaded(*published.hub)
        return Task(name, tuple(examples[:limit]), published.grader, published.official)
    if data is not None:
        raise ValueError(f"--data goes with one of the tasks {', '.join(KNOWN)}; a file alone is given as --task")
    if Path(name).suffix in FORMS:
        return Task(Path(name).stem, tuple(load(Path(name))[:limit]))
    if "/" in name and not name.startswith((".", "/")):
        hub, configuration, split = (*name.split(":"), "", "")[:3]
        return Task(hub, tuple(_downloaded(hub, configuration or None, split or "test")[:limit]))
    raise ValueError(
        f"--task must be {', '.join(TASK_NAMES)}, a file ({', '.join(FORMS)}), "
        f"or a data set such as openai/gsm8k:main:test; got {name!r}{suggestion(name, TASK_NAMES)}"
    )


def _downloaded(name: str, configuration: str | None, split: str) -> list[Example]:
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise MissingExtra(f"downloading {name} (or give its file with --data)", "data") from error
    try:
        rows = datasets.load_dataset(name, configuration, split=split)
    except Exception as error:  # noqa: BLE001  # the library raises many types of errors
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"the data set {name!r} cannot be loaded ({reason}): give its file with --data") from None
    return examples_of(((f"row {number}", row) for number, row in enumerate(rows, 1)), name)
