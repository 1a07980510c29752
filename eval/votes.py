"""Several samples of a question: which of them is taken, and how often one is right. Ties go to what was seen first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

WEIGHTS: Mapping[str, Callable[[float], float]] = {
    "one": lambda _reward: 1.0,
    "sigmoid": lambda reward: 1 / (1 + math.exp(-reward)) if reward >= 0 else math.exp(reward) / (1 + math.exp(reward)),
    "exp": math.exp,
}


def pass_at_k(right: Sequence[Sequence[bool]], k: int) -> float:
    """The chance that one of `k` samples of a question is right, the mean over questions.

    1 - C(n - c, k) / C(n, k) for c right ones of n, which is unbiased (Chen et al. 2021, arXiv 2107.03374, 2.1).

    Args:
        right: for each question, whether each sample was right; at least `k` samples each.
        k: 1 or more.

    Returns:
        NaN without questions.

    Raises:
        ValueError: if k is out of range.

    >>> pass_at_k([[True, False], [False, False]], 1), pass_at_k([[True, False], [False, False]], 2)
    (0.25, 0.5)
    """
    if not right:
        return math.nan
    fewest = min(map(len, right))
    if not 1 <= k <= fewest:
        raise ValueError(f"k must be between 1 and the fewest samples of a question, {fewest}, got {k}")
    return float(np.mean([1 - math.comb(len(r) - sum(r), k) / math.comb(len(r), k) for r in right]))


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


def maj_at_k(samples: Sequence[Sequence[tuple[str | None, bool]]], k: int) -> float:
    """How often the majority of the first `k` samples of a question is right.

    Args:
        samples: for each question, (answer, whether it is right) of each sample, at least `k`.
        k: 1 or more.

    Returns:
        NaN without questions; a question without any answer counts as not right.
    """
    if not samples:
        return math.nan
    fewest = min(map(len, samples))
    if not 1 <= k <= fewest:
        raise ValueError(f"k must be between 1 and the fewest samples of a question, {fewest}, got {k}")
    chosen = [(one, vote([answer for answer, _ in one[:k]])) for one in samples]
    return float(np.mean([at is not None and one[at][1] for one, at in chosen]))


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
