"""Aggregate a journal: one result per point of the grid, with accuracy, token counts and comparisons."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from thinkpace.eval.runs.journal import Entry
from thinkpace.eval.runs.point import RunPoint
from thinkpace.eval.runs.settings import baseline
from thinkpace.eval.stats.at_k import maj_at_k, pass_at_k
from thinkpace.eval.stats.comparisons import Outcome, adjusted, paired
from thinkpace.eval.stats.intervals import Rights, accuracy_interval
from thinkpace.eval.stats.underthinking import score


@dataclass(frozen=True, slots=True)
class Result:
    """One row of `results.csv`: a point of the grid over all its samples. Undefined numbers are NaN.

    Args:
        task: name of the task.
        control: class names of the controls.
        max_tokens: maximum thinking tokens; None for no limit.
        waits: number of waits requested.
        samples: number of samples that were generated and graded, without errors.
        accuracy, ci_low, ci_high: over these samples, with a 95 % interval; truncated samples and samples without an
            answer count as not right.
        thinking_tokens_mean, thinking_tokens_max: as the budget counts them.
        forced_tokens_mean: tokens written for the model, in and after thinking.
        completion_tokens_mean: all output tokens.
        forced_end: share of samples whose thinking was closed by force.
        truncated: number of samples that reached the token limit before an answer.
        no_answer: number of samples that ended without an answer.
        errors: number of samples whose generation or grading failed.
        questions: number of questions with samples.
        n: the smallest number of samples of any question.
        pass_at_n, maj_at_n: pass@n and maj@n; NaN for n = 1, where both equal the accuracy, and for n = 0.
        underthinking_surrogate: `underthinking.score` with the first occurrence of the known answer in place of a
            judge.
        within_limit: share of samples within the prescribed limits (s1's Control counts whole settings instead).
        replayed: share of the output tokens that were taken from another run; 0 without replay.
        baseline: `repr` of the controls that it is compared with; empty without a baseline.
        difference, difference_low, difference_high: accuracy minus the baseline's on their common questions, and its
            paired 95 % interval.
        p_value: of McNemar's exact test against the baseline, on the first sample of every question.
        p_adjusted: the p-value corrected for all comparisons of the table (Holm).
        detectable: the smallest difference that this many questions can detect with power 0.8, at the observed share
            of discordant questions.
        engine, prompt: names of the engine and the prompt.
        controls: `repr` of the controls.
        line: `controls` without limit and waits: the same all along a line of the plot.
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
    questions: int
    n: int
    pass_at_n: float
    maj_at_n: float
    underthinking_surrogate: float
    within_limit: float
    replayed: float
    baseline: str
    difference: float
    difference_low: float
    difference_high: float
    p_value: float
    p_adjusted: float
    detectable: float
    engine: str
    prompt: str
    controls: str
    line: str

    @property
    def is_forcing(self) -> bool:
        """Whether budget forcing is the only control, so that budget and waits describe the setting."""
        return self.control == "BudgetForcing"


@dataclass(frozen=True, slots=True)
class _Samples:
    """The samples of a point."""

    point: RunPoint
    entries: Sequence[Entry]
    outcome: Outcome

    @property
    def rights(self) -> Rights:
        return self.outcome.rights

    @property
    def graded(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.verdict != "error"]


def results(points: Sequence[RunPoint], entries: Iterable[Entry]) -> list[Result]:
    """One result per point that has samples, in the order of the points."""
    by_point: dict[str, list[Entry]] = {point.id: [] for point in points}
    for entry in entries:
        by_point[entry.point].append(entry)
    samples = [_Samples(point, by_point[point.id], outcome(by_point[point.id])) for point in points]
    names = engine_names(points)
    rows = [_result(item, samples, names[item.point.variant[:2]]) for item in samples if item.entries]
    corrected = adjusted([row.p_value for row in rows])
    return [replace(row, p_adjusted=p) for row, p in zip(rows, corrected, strict=True)]


def engine_names(points: Iterable[RunPoint]) -> dict[tuple[str, str], str]:
    """(name, identity) of every engine -> its display name, which includes the identity where names collide."""
    engines = list(dict.fromkeys(point.variant[:2] for point in points))
    names = [name for name, _ in engines]
    return {(name, model): f"{name} {model}" if names.count(name) > 1 else name for name, model in engines}


def outcome(entries: Iterable[Entry]) -> Outcome:
    """For each question, whether its samples were right; samples that ended in an error are left out."""
    rights, firsts = dict[str, list[bool]](), dict[str, bool]()
    for entry in entries:
        if entry.verdict != "error":
            rights.setdefault(entry.question, []).append(entry.verdict == "right")
            if not entry.sample:
                firsts[entry.question] = entry.verdict == "right"
    return Outcome(rights, firsts)


def _result(point_samples: _Samples, others: Sequence[_Samples], engine: str) -> Result:
    point, graded, setting = point_samples.point, point_samples.graded, point_samples.point.setting
    beside = [other for other in others if other.point.variant == point.variant and other.entries]
    against = baseline(setting, [other.point.setting for other in beside])
    before = next((other for other in beside if other.point.setting == against), None)
    beside_it = paired(before.outcome if before else Outcome({}, {}), point_samples.outcome, point.seed)
    accuracy, low, high = accuracy_interval(list(point_samples.rights.values()), seed=point.seed)
    verdicts = [entry.verdict for entry in graded]
    thinking = [entry.row["thinking_tokens"] for entry in graded]
    output = [completion_tokens(entry.row["usage"]) for entry in graded]
    least, most = setting.min_tokens, math.inf if setting.max_tokens is None else setting.max_tokens
    n = min(map(len, point_samples.rights.values()), default=0)
    return Result(
        task=point.task,
        control=setting.kind,
        max_tokens=setting.max_tokens,
        waits=setting.waits,
        samples=len(graded),
        accuracy=accuracy,
        ci_low=low,
        ci_high=high,
        thinking_tokens_mean=mean(thinking),
        thinking_tokens_max=max(thinking, default=0),
        forced_tokens_mean=mean([entry.row["usage"]["forced"] for entry in graded]),
        completion_tokens_mean=mean(output),
        forced_end=mean([entry.row["end"] == "forced" for entry in graded]),
        truncated=verdicts.count("truncated"),
        no_answer=verdicts.count("no_answer"),
        errors=len(point_samples.entries) - len(graded),
        questions=len(point_samples.rights),
        n=n,
        pass_at_n=pass_at_k(list(point_samples.rights.values()), n) if n > 1 else math.nan,
        maj_at_n=maj_at_k(_answered(graded), n) if n > 1 else math.nan,
        underthinking_surrogate=score(graded),
        within_limit=mean([least <= tokens <= most for tokens in thinking]),
        replayed=sum(entry.row["shared"] for entry in graded) / sum(output) if sum(output) else math.nan,
        baseline="" if against is None else against.name,
        difference=beside_it.difference,
        difference_low=beside_it.low,
        difference_high=beside_it.high,
        p_value=beside_it.p_value,
        p_adjusted=math.nan,
        detectable=beside_it.detectable,
        engine=engine,
        prompt=point.prompt,
        controls=setting.name,
        line=setting.line,
    )


def _answered(entries: Iterable[Entry]) -> list[list[tuple[str | None, bool]]]:
    """For each question, (answer, whether it is right) of every sample."""
    out: dict[str, list[tuple[str | None, bool]]] = {}
    for entry in entries:
        out.setdefault(entry.question, []).append((entry.row["extracted"], entry.verdict == "right"))
    return list(out.values())


def completion_tokens(usage: Mapping[str, int]) -> int:
    """All output tokens, as the engine would report them."""
    return usage["thinking"] + usage["forced"] + usage["marker"] + usage["answer"]


def mean(numbers: Sequence[float]) -> float:
    """The arithmetic mean; NaN without numbers."""
    return math.fsum(numbers) / len(numbers) if numbers else math.nan
