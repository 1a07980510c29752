"""Parallel sampling: pass@k and maj@k of every setting for every k, with the tokens that k samples take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from thinkpace.eval.runs.journal import Entry
from thinkpace.eval.runs.point import RunPoint
from thinkpace.eval.stats.at_k import maj_interval, pass_interval
from thinkpace.eval.stats.results import answers_of, completion_tokens, engine_names, mean


@dataclass(frozen=True, slots=True)
class AtK:
    """One row of `at_k.csv`: a setting, and a number of samples of each question. Intervals are 95 %, over questions.

    Args:
        engine, prompt, controls: of the setting.
        k: number of samples, from 1 to the fewest of any question.
        questions: number of questions.
        output_tokens_mean: output tokens of k samples of a question.
        pass_at_k, pass_at_k_low, pass_at_k_high: the chance that at least one of k samples is right.
        maj_at_k, maj_at_k_low, maj_at_k_high: the chance that the most frequent answer of k samples is right.
    """

    engine: str
    prompt: str
    controls: str
    k: int
    questions: int
    output_tokens_mean: float
    pass_at_k: float
    pass_at_k_low: float
    pass_at_k_high: float
    maj_at_k: float
    maj_at_k_low: float
    maj_at_k_high: float


def at_k(points: Sequence[RunPoint], entries: Iterable[Entry]) -> list[AtK]:
    """One row per setting that has samples, and k."""
    by_point: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.verdict != "error":
            by_point.setdefault(entry.point, []).append(entry)
    names = engine_names(points)
    return [
        row
        for point in points
        if point.id in by_point
        for row in _rows(point, by_point[point.id], names[point.variant[:2]])
    ]


def _rows(point: RunPoint, graded: Sequence[Entry], engine: str) -> list[AtK]:
    answers = [*answers_of(graded).values()]
    tokens = mean([completion_tokens(entry.row["usage"]) for entry in graded])
    out = []
    for k in range(1, min(map(len, answers)) + 1):
        passed, voted = pass_interval(answers, k), maj_interval(answers, k)
        out.append(AtK(engine, point.prompt, point.setting.name, k, len(answers), k * tokens, *passed, *voted))
    return out
