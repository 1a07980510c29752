"""Choose one of several samples of a question, by reward or by vote. Ties go to the first sample."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

WEIGHTS: Mapping[str, Callable[[float], float]] = {
    "one": lambda _reward: 1.0,
    "sigmoid": lambda reward: 1 / (1 + math.exp(-reward)) if reward >= 0 else math.exp(reward) / (1 + math.exp(reward)),
    "exp": math.exp,
}


def best_of(rewards: Sequence[float]) -> int:
    """The index of the sample with the highest reward.

    >>> best_of([0.1, 0.9, 0.9])
    1

    Raises:
        ValueError: without samples, or if a reward is NaN.
    """
    if not rewards or any(math.isnan(reward) for reward in rewards):
        raise ValueError(f"rewards must be numbers, at least one, got {list(rewards)!r}")
    return max(range(len(rewards)), key=lambda i: (rewards[i], -i))


def vote(answers: Sequence[str | None], weights: Sequence[float] | None = None) -> int | None:
    """Weighted vote: the index of the first sample with the winning answer; None if no sample has an answer.

    The winning answer has the largest sum of weights.

    Args:
        answers: of each sample; None does not vote.
        weights: of each sample, 0 or more; by default 1 each (majority vote: Wang et al. 2022, arXiv 2203.11171).

    Raises:
        ValueError: if a weight is negative or NaN, or the lengths differ.

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
    """Vote weights from rewards.

    Args:
        rewards: of each sample.
        how: "one", "sigmoid" (1 / (1 + e^-r)) or "exp" (e^r).

    Raises:
        ValueError: for another name.
    """
    if how not in WEIGHTS:
        raise ValueError(f"weights are one of {', '.join(WEIGHTS)}, got {how!r}")
    return [WEIGHTS[how](reward) for reward in rewards]
