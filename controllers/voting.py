"""Which of several samples of a question is taken. Ties go to what was seen first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

WEIGHTS: Mapping[str, Callable[[float], float]] = {
    "one": lambda _reward: 1.0,
    "sigmoid": lambda reward: 1 / (1 + math.exp(-reward)) if reward >= 0 else math.exp(reward) / (1 + math.exp(reward)),
    "exp": math.exp,
}


def best_of(rewards: Sequence[float]) -> int:
    """The sample of the highest reward: its index.

    >>> best_of([0.1, 0.9, 0.9])
    1

    Raises:
        ValueError: for no samples, or a reward that is no number.
    """
    if not rewards or any(math.isnan(reward) for reward in rewards):
        raise ValueError(f"rewards must be numbers, at least one, got {list(rewards)!r}")
    return max(range(len(rewards)), key=lambda i: (rewards[i], -i))


def vote(answers: Sequence[str | None], weights: Sequence[float] | None = None) -> int | None:
    """The answer with the largest sum of weights: the index of its first sample; None if no sample has an answer.

    Args:
        answers: of each sample; None takes no part.
        weights: of each sample, 0 or more; 1 each by default (majority: Wang et al. 2022, arXiv 2203.11171).

    Raises:
        ValueError: if the two do not fit.

    >>> vote(["4", "5", "5"]), vote(["4", "5", "5"], [3.0, 1.0, 1.0]), vote(["4", "5"]), vote([None])
    (1, 0, 0, None)
    """
    given = [1.0] * len(answers) if weights is None else list(weights)
    if len(given) != len(answers) or any(math.isnan(weight) or weight < 0 for weight in given):
        raise ValueError(f"weights must be one number >= 0 per answer, got {given!r} for {len(answers)} answers")
    sums: dict[str, float] = {}
    first: dict[str, int] = {}
    for i, (answer, weight) in enumerate(zip(answers, given, strict=True)):
        if answer is not None:
            sums[answer] = sums.get(answer, 0.0) + weight
            first.setdefault(answer, i)
    return first[max(sums, key=lambda answer: (sums[answer], -first[answer]))] if sums else None


def weighted(rewards: Sequence[float], how: str) -> list[float]:
    """The weights that rewards give votes.

    Args:
        rewards: of each sample.
        how: "one", "sigmoid" (1 / (1 + e^-r)) or "exp" (e^r).

    Raises:
        ValueError: for another name.
    """
    if how not in WEIGHTS:
        raise ValueError(f"weights are one of {', '.join(WEIGHTS)}, got {how!r}")
    return [WEIGHTS[how](reward) for reward in rewards]
