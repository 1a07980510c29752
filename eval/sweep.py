"""Sweeps: a grid of controls over the questions of a task, journalled as it goes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from thinkpace.eval.grade import grade
from thinkpace.eval.journal import Entry, Journal
from thinkpace.eval.stats import accuracy_interval, paired_difference
from thinkpace.eval.task import Example
from thinkpace.processors.base import Control
from thinkpace.processors.budget import Budget, BudgetForcing
from thinkpace.processors.program import compile_program
from thinkpace.processors.request import Completion, Engine, Request, Sampling
from thinkpace.prompts.styles import Prompt

NO_CONTROL = "no control"
CHUNK = 64  # samples per call of the engine, and per transaction of the journal


@dataclass(frozen=True, slots=True)
class Setting:
    """One point of the grid.

    Args:
        controls: what holds for its samples, in order.
    """

    controls: tuple[Control, ...]

    @property
    def budget(self) -> Budget | None:
        """The control that decides when thinking ends."""
        return next((control for control in self.controls if isinstance(control, Budget)), None)

    @property
    def others(self) -> tuple[Control, ...]:
        """All other controls."""
        return tuple(control for control in self.controls if not isinstance(control, Budget))

    @property
    def max_tokens(self) -> int | None:
        """Thinking tokens at most; None for no limit."""
        return None if self.budget is None else self.budget.max_tokens

    @property
    def waits(self) -> int:
        """Extensions asked for."""
        return self.budget.waits if isinstance(self.budget, BudgetForcing) else 0

    @property
    def final(self) -> str | None:
        """What is written after a forced close."""
        return self.budget.final if isinstance(self.budget, BudgetForcing) else None

    @property
    def kind(self) -> str:
        """What kinds of controls they are."""
        return "+".join(type(control).__name__ for control in self.controls) or "none"

    @property
    def name(self) -> str:
        """The controls as they print: unique within a sweep."""
        return " + ".join(map(repr, self.controls)) or NO_CONTROL


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep does. Two sweeps with equal plans give equal results.

    Args:
        task: its name, for the results.
        examples: the questions.
        settings: the grid.
        prompt: the instruction before each question; None for the bare question.
        sampling: how tokens are drawn.
        samples: repetitions per question and setting, at least 1.
        max_new_tokens: output tokens at most, per sample.
        seed: of everything. A sample's own seed comes from it, the question and the repetition, not from the setting:
            settings are compared on the same questions with the same random numbers.
    """

    task: str
    examples: tuple[Example, ...]
    settings: tuple[Setting, ...]
    prompt: Prompt | None
    sampling: Sampling
    samples: int
    max_new_tokens: int
    seed: int

    def __post_init__(self) -> None:
        if not self.examples:
            raise ValueError("a sweep needs at least one question")
        if not self.settings:
            raise ValueError("a sweep needs at least one setting")
        if self.samples < 1:
            raise ValueError(f"samples must be >= 1, got {self.samples}")
        if self.seed < 0:
            raise ValueError(f"seed must be >= 0, got {self.seed}")
        names = [setting.name for setting in self.settings]
        if len(set(names)) < len(names):
            raise ValueError(
                "two settings of the sweep are the same: give every budget, number of waits and control once"
            )

    def baseline(self, setting: Setting) -> Setting | None:
        """What a setting is compared with.

        The same budget without its other controls, else no control at all, else budget forcing without limit and
        waits. None if the sweep has none of these, for what is one itself, and for plain forcing beside the last.
        """
        alone = (setting.budget,) if setting.budget is not None else ()
        plain = len(setting.controls) == 1 and isinstance(setting.budget, BudgetForcing)
        free = [o for o in self.settings if o.kind == "BudgetForcing" and o.max_tokens is None and not o.waits]
        wanted = [alone, (), *(other.controls for other in free if not plain)]
        for controls in wanted:
            found = next((other for other in self.settings if other.controls == controls), None)
            if found is not None and found != setting:
                return found
        return None

    def identity(self, engine: Engine) -> dict[str, Any]:
        """What the journal knows the run by: everything that decides a result."""
        questions = hashlib.sha256(repr(self.examples).encode()).hexdigest()[:16]
        return {
            "task": self.task,
            "questions": f"{len(self.examples)}, sha256 {questions}",
            "settings": [[control.to_json() for control in setting.controls] for setting in self.settings],
            "prompt": None if self.prompt is None else self.prompt.name,
            "sampling": asdict(self.sampling),
            "samples": self.samples,
            "max_new_tokens": self.max_new_tokens,
            "seed": self.seed,
            "engine": engine.name,
            "model": engine.identity,
            "markers": asdict(engine.markers),
            "chunk": CHUNK,
        }


def grid(budgets: Iterable[int | None], waits: Iterable[int], **fixed: Any) -> tuple[Setting, ...]:
    """Every budget with every number of waits, as budget forcing; `fixed` are its other fields.

    >>> [s.name for s in grid([64, None], [0])]
    ['BudgetForcing(max_tokens=64)', 'BudgetForcing()']
    """
    return tuple(Setting((BudgetForcing(max_tokens=b, waits=w, **fixed),)) for b in budgets for w in waits)


def with_controls(settings: Iterable[Setting], chains: Iterable[tuple[Control, ...]]) -> tuple[Setting, ...]:
    """The settings, and then every chain of controls beside each of them; a chain with a budget of its own alone."""
    settings = tuple(settings)
    out = list(settings)
    for controls in chains:
        if any(control.decides_end for control in controls):
            out.append(Setting(controls))
        else:
            out += [Setting((*controls, *setting.controls)) for setting in settings]
    return tuple(out)


def sample_seed(seed: int, question: str, sample: int) -> int:
    """The seed of one repetition of one question, below 2**63."""
    digest = hashlib.blake2b(f"{seed}/{question}/{sample}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def run(plan: Plan, engine: Engine, journal: Journal, progress: Callable[[int], None] = lambda _: None) -> None:
    """Do what the journal does not hold yet.

    Args:
        plan: what to do.
        engine: what generates.
        journal: opened with `plan.identity(engine)`.
        progress: called with the number of samples that have become available since the last call.

    Raises:
        UnsupportedControl: before anything is generated, if a control cannot work with this engine.
        OSError: if the journal cannot be written.
    """
    for setting in plan.settings:
        compile_program(
            setting.controls,
            engine.vocabulary,
            engine.markers,
            max_new_tokens=plan.max_new_tokens,
            context_tokens=engine.context_tokens,
        )
    prompts = {example.id: engine.chat(_messages(plan.prompt, example)) for example in plan.examples}
    done = journal.keys()
    for chunk in _chunks(plan):
        # a chunk with anything missing is done whole: batches are those of an uninterrupted run
        missing = [job for job in chunk if job.key not in done]
        if missing:
            entries = _do(chunk, plan, engine, prompts)
            journal.write(entry for entry in entries if entry.key not in done)
        progress(len(chunk))


@dataclass(frozen=True, slots=True)
class _Job:
    setting: Setting
    example: Example
    sample: int

    @property
    def key(self) -> tuple[str, str, int]:
        return self.setting.name, self.example.id, self.sample


def _chunks(plan: Plan) -> Iterator[list[_Job]]:
    for setting in plan.settings:
        jobs = [_Job(setting, example, sample) for example in plan.examples for sample in range(plan.samples)]
        for start in range(0, len(jobs), CHUNK):
            yield jobs[start : start + CHUNK]


def _do(jobs: list[_Job], plan: Plan, engine: Engine, prompts: dict[str, tuple[int, ...]]) -> list[Entry]:
    def request(job: _Job) -> Request:
        seed = sample_seed(plan.seed, job.example.id, job.sample)
        return Request(prompts[job.example.id], job.setting.controls, plan.max_new_tokens, plan.sampling, seed)

    try:
        completions = engine.generate([request(job) for job in jobs])
    except (RuntimeError, ValueError) as error:
        if len(jobs) == 1:
            return [Entry(*jobs[0].key, {"verdict": "error", "error": f"{type(error).__name__}: {error}"})]
        return [entry for job in jobs for entry in _do([job], plan, engine, prompts)]  # the one that fails is found
    return [_entry(job, completion) for job, completion in zip(jobs, completions, strict=True)]


def _entry(job: _Job, completion: Completion) -> Entry:
    verdict, found = grade(completion, job.example.answer, job.setting.final)
    receipt = completion.receipt
    row = {
        "verdict": verdict,
        "extracted": found,
        "expected": job.example.answer,
        "text": completion.text,
        "answer": completion.answer,
        "thinking_tokens": receipt.thinking_tokens,
        "usage": asdict(receipt.usage),
        "end": receipt.end,
        "waits": receipt.waits,
        "events": [asdict(event) for event in receipt.events],
        "finish_reason": completion.finish_reason,
        "seed": completion.seed,
        "tokens": completion.tokens,
    }
    return Entry(*job.key, row)


def _messages(prompt: Prompt | None, example: Example) -> Sequence[dict[str, str]]:
    return prompt.render(example.question) if prompt is not None else [{"role": "user", "content": example.question}]


@dataclass(frozen=True, slots=True)
class Result:
    """One row of `results.csv`: a setting over all its samples.

    Args:
        control: the kinds of its controls.
        max_tokens: thinking tokens at most; None for no limit.
        waits: extensions asked for.
        samples: that were generated and graded; errors are apart.
        accuracy, ci_low, ci_high: of these; truncated ones and those without an answer count as not right.
        thinking_tokens_mean, thinking_tokens_max: what the budget counts.
        forced_tokens_mean: written for the model, in and after thinking.
        completion_tokens_mean: all output tokens.
        forced_end: share of samples whose thinking was closed by force.
        truncated: samples whose token limit came before an answer.
        no_answer: samples that ended without an answer.
        errors: samples that could not be generated.
        difference, difference_low, difference_high: accuracy less that of the baseline on the same questions, with
            its paired 95 % interval; NaN where there is no baseline (`Plan.baseline`).
        controls: as they print.
    """

    task: str
    control: str
    max_tokens: int | None
    waits: int
    samples: int
    accuracy: float
    ci_low: float
    ci_high: float
    thinking_tokens_mean: float
    thinking_tokens_max: int
    forced_tokens_mean: float
    completion_tokens_mean: float
    forced_end: float
    truncated: int
    no_answer: int
    errors: int
    difference: float
    difference_low: float
    difference_high: float
    controls: str


def results(plan: Plan, entries: Iterable[Entry]) -> list[Result]:
    """What the journal says, one result per setting, in the order of the plan."""
    by_setting: dict[str, list[Entry]] = {setting.name: [] for setting in plan.settings}
    for entry in entries:
        by_setting[entry.setting].append(entry)
    return [_result(plan, setting, by_setting) for setting in plan.settings]


def _rights(entries: list[Entry]) -> dict[str, list[bool]]:
    """For each question whether its samples were right; errors are no samples."""
    out: dict[str, list[bool]] = {}
    for entry in entries:
        if entry.row["verdict"] != "error":
            out.setdefault(entry.question, []).append(entry.row["verdict"] == "right")
    return out


def _result(plan: Plan, setting: Setting, by_setting: Mapping[str, list[Entry]]) -> Result:
    entries = by_setting[setting.name]
    graded = [entry for entry in entries if entry.row["verdict"] != "error"]
    per_question = _rights(entries)
    baseline = plan.baseline(setting)
    difference = paired_difference(_rights(by_setting[baseline.name]) if baseline else {}, per_question, seed=plan.seed)
    accuracy, low, high = accuracy_interval(list(per_question.values()), seed=plan.seed)
    verdicts = [entry.row["verdict"] for entry in graded]
    thinking = [entry.row["thinking_tokens"] for entry in graded]
    usages = [entry.row["usage"] for entry in graded]
    completion = [sum(count for kind, count in usage.items() if kind != "prompt") for usage in usages]
    return Result(
        plan.task,
        setting.kind,
        setting.max_tokens,
        setting.waits,
        len(graded),
        accuracy,
        low,
        high,
        _mean(thinking),
        max(thinking, default=0),
        _mean([usage["forced"] for usage in usages]),
        _mean(completion),
        _mean([entry.row["end"] == "forced" for entry in graded]),
        verdicts.count("truncated"),
        verdicts.count("no_answer"),
        len(entries) - len(graded),
        *difference,
        setting.name,
    )


def _mean(numbers: Sequence[float]) -> float:
    return math.fsum(numbers) / len(numbers) if numbers else math.nan
