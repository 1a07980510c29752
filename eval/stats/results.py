"""Aggregate a journal: one result per point of the grid, with accuracy, token counts and comparisons."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from thinkpace.eval.runs.journal import Entry
from thinkpace.eval.runs.point import RunPoint
from thinkpace.eval.runs.settings import baseline
from thinkpace.eval.stats.at_k import Answers, maj_interval, pass_interval
from thinkpace.eval.stats.comparisons import adjusted, paired
from thinkpace.eval.stats.effective import Rights
from thinkpace.eval.stats.intervals import accuracy_interval, mean_interval
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
        thinking_tokens_mean, thinking_tokens_low, thinking_tokens_high, thinking_tokens_max: as the budget counts
            them; the mean with its 95 % interval.
        forced_tokens_mean: tokens written for the model, in and after thinking.
        completion_tokens_mean: all output tokens.
        generated_tokens_mean: output tokens and those of probes; what replay took from another run counts too, since
            alone it would have been generated.
        total_tokens_mean: these, and the tokens of the prompt and what was read again for trials; what replay read
            again does not count.
        forced_end: share of samples whose thinking was closed by force.
        truncated: number of samples that reached the token limit before an answer.
        no_answer: number of samples that ended without an answer.
        errors: number of samples whose generation or grading failed.
        questions: number of questions with samples.
        n: the smallest number of samples of any question.
        pass_at_n, maj_at_n: pass@n and maj@n, each with its 95 % interval; NaN for n = 1, where both equal the
            accuracy, and for n = 0. `at_k.csv` has every k.
        underthinking_surrogate: `underthinking.score` with the first occurrence of the known answer in place of a
            judge.
        within_limit: share of samples within the prescribed limits (s1's Control counts whole settings instead).
        replayed: share of the output tokens that were taken from another run; 0 without replay.
        baseline: `repr` of the controls that it is compared with; empty without a baseline.
        difference, difference_low, difference_high: accuracy minus the baseline's on their common questions, and its
            paired 95 % interval.
        p_value: of the test that belongs to this interval: below 0.05 if and only if the interval leaves out 0.
        p_adjusted: the p-value corrected for all comparisons of the table (Holm).
        detectable: the smallest difference that this many questions can detect with power 0.8, at the observed share
            of discordant samples and variance between questions.
        engine, prompt: names of the engine and the prompt.
        controls: `repr` of the controls.
        line: `controls` without limit and waits: the same all along a line of the plot.
        on_front: whether it is better than every row on the front with fewer thinking tokens, by more than noise.
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
    thinking_tokens_low: float
    thinking_tokens_high: float
    thinking_tokens_max: int
    forced_tokens_mean: float
    completion_tokens_mean: float
    generated_tokens_mean: float
    total_tokens_mean: float
    forced_end: float
    truncated: int
    no_answer: int
    errors: int
    questions: int
    n: int
    pass_at_n: float
    pass_at_n_low: float
    pass_at_n_high: float
    maj_at_n: float
    maj_at_n_low: float
    maj_at_n_high: float
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
    on_front: bool

    @property
    def is_forcing(self) -> bool:
        """Whether budget forcing is the only control, so that budget and waits describe the setting."""
        return self.control == "BudgetForcing"


_NOTHING = (math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class _Samples:
    """The samples of a point."""

    point: RunPoint
    entries: Sequence[Entry]
    rights: Rights

    @property
    def graded(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.verdict != "error"]


def results(points: Sequence[RunPoint], entries: Iterable[Entry]) -> list[Result]:
    """One result per point that has samples, in the order of the points."""
    by_point: dict[str, list[Entry]] = {point.id: [] for point in points}
    for entry in entries:
        by_point[entry.point].append(entry)
    samples = [_Samples(point, by_point[point.id], rights_of(by_point[point.id])) for point in points]
    names = engine_names(points)
    rows = [_result(item, samples, names[item.point.variant[:2]]) for item in samples if item.entries]
    corrected = adjusted([row.p_value for row in rows])
    fronts = _on_front(rows, [item.rights for item in samples if item.entries])
    return [replace(row, p_adjusted=p, on_front=front) for row, p, front in zip(rows, corrected, fronts, strict=True)]


def _on_front(rows: Sequence[Result], rights: Sequence[Rights]) -> list[bool]:
    """Which rows are on the front: from the fewest tokens on, those that are better than the last one on it by more
    than noise (`paired`)."""
    kept, out = list[Rights](), [False] * len(rows)
    order = sorted(range(len(rows)), key=lambda i: (rows[i].thinking_tokens_mean, -rows[i].accuracy, i))
    for i in order:
        if not math.isnan(rows[i].accuracy) and (not kept or paired(kept[-1], rights[i]).interval()[0] > 0):
            kept.append(rights[i])
            out[i] = True
    return out


def engine_names(points: Iterable[RunPoint]) -> dict[tuple[str, str], str]:
    """(name, identity) of every engine -> its display name, which includes the identity where names collide."""
    engines = list(dict.fromkeys(point.variant[:2] for point in points))
    names = [name for name, _ in engines]
    return {(name, model): f"{name} {model}" if names.count(name) > 1 else name for name, model in engines}


def rights_of(entries: Iterable[Entry]) -> Rights:
    """For each question, whether its samples were right; samples that ended in an error are left out."""
    rights = dict[str, list[bool]]()
    for entry in entries:
        if entry.verdict != "error":
            rights.setdefault(entry.question, []).append(entry.verdict == "right")
    return rights


def _result(point_samples: _Samples, others: Sequence[_Samples], engine: str) -> Result:
    point, graded, setting = point_samples.point, point_samples.graded, point_samples.point.setting
    beside = [other for other in others if other.point.variant == point.variant and other.entries]
    against = baseline(setting, [other.point.setting for other in beside])
    before = next((other for other in beside if other.point.setting == against), None)
    beside_it = paired(before.rights if before else {}, point_samples.rights)
    difference_low, difference_high = beside_it.interval()
    rights = [*point_samples.rights.values()]
    accuracy, low, high = accuracy_interval(rights)
    verdicts = [entry.verdict for entry in graded]
    by_question = dict[str, list[float]]()
    for entry in graded:
        by_question.setdefault(entry.question, []).append(entry.row["thinking_tokens"])
    thinking = [tokens for of_question in by_question.values() for tokens in of_question]
    tokens_mean, tokens_low, tokens_high = mean_interval([*by_question.values()])
    usages = [entry.row["usage"] for entry in graded]
    output = [completion_tokens(usage) for usage in usages]
    generated = [out + usage.get("probe", 0) for out, usage in zip(output, usages, strict=True)]
    read = [e.row["usage"]["prompt"] + (0 if e.row["shared"] else e.row["usage"].get("reread", 0)) for e in graded]
    least, most = setting.min_tokens, math.inf if setting.max_tokens is None else setting.max_tokens
    n = min(map(len, rights), default=0)
    passed, voted = _NOTHING, _NOTHING
    if n > 1:
        answers = [*answers_of(graded).values()]
        passed, voted = pass_interval(answers, n), maj_interval(answers, n)
    return Result(
        task=point.task,
        control=setting.kind,
        max_tokens=setting.max_tokens,
        waits=setting.waits,
        samples=len(graded),
        accuracy=accuracy,
        ci_low=low,
        ci_high=high,
        thinking_tokens_mean=tokens_mean,
        thinking_tokens_low=tokens_low,
        thinking_tokens_high=tokens_high,
        thinking_tokens_max=int(max(thinking, default=0)),
        forced_tokens_mean=mean([entry.row["usage"]["forced"] for entry in graded]),
        completion_tokens_mean=mean(output),
        generated_tokens_mean=mean(generated),
        total_tokens_mean=mean([made + again for made, again in zip(generated, read, strict=True)]),
        forced_end=mean([entry.row["end"] == "forced" for entry in graded]),
        truncated=verdicts.count("truncated"),
        no_answer=verdicts.count("no_answer"),
        errors=len(point_samples.entries) - len(graded),
        questions=len(point_samples.rights),
        n=n,
        pass_at_n=passed[0],
        pass_at_n_low=passed[1],
        pass_at_n_high=passed[2],
        maj_at_n=voted[0],
        maj_at_n_low=voted[1],
        maj_at_n_high=voted[2],
        underthinking_surrogate=score(graded),
        within_limit=mean([least <= tokens <= most for tokens in thinking]),
        replayed=sum(entry.row["shared"] for entry in graded) / sum(output) if sum(output) else math.nan,
        baseline="" if against is None else against.name,
        difference=beside_it.difference,
        difference_low=difference_low,
        difference_high=difference_high,
        p_value=beside_it.p_value,
        p_adjusted=math.nan,
        detectable=beside_it.detectable,
        engine=engine,
        prompt=point.prompt,
        controls=setting.name,
        line=setting.line,
        on_front=False,
    )


def answers_of(graded: Iterable[Entry]) -> Mapping[str, Answers]:
    """For each question, (answer, whether it is right) of every sample."""
    out: dict[str, list[tuple[str | None, bool]]] = {}
    for entry in graded:
        out.setdefault(entry.question, []).append((entry.row["extracted"], entry.verdict == "right"))
    return out


def completion_tokens(usage: Mapping[str, int]) -> int:
    """All output tokens, as the engine would report them."""
    return usage["thinking"] + usage["forced"] + usage["marker"] + usage["answer"]


def mean(numbers: Sequence[float]) -> float:
    """The arithmetic mean; NaN without numbers."""
    return math.fsum(numbers) / len(numbers) if numbers else math.nan
