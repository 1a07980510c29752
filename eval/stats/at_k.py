"""pass@k and maj@k: how often at least one of k samples, or their majority, is right."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from thinkpace.eval.stats.intervals import share_interval

#: of one question: (answer, whether it is right) of each sample; an answer of None takes no part in votes
Answers = Sequence[tuple[str | None, bool]]
MOST = 1000  # samples of a question, whose subsets can be counted in floating point


def pass_at_k(right: Sequence[Sequence[bool]], k: int) -> float:
    """pass@k: the chance that at least one of `k` samples of a question is right, averaged over questions.

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
    _check(right, k)
    chances = [1 - math.comb(len(r) - sum(r), k) / math.comb(len(r), k) for r in right]
    return float(np.mean(chances)) if chances else math.nan


def maj_at_k(samples: Sequence[Answers], k: int) -> float:
    """maj@k: the chance that the most frequent answer of `k` samples of a question is right, averaged over questions.

    The mean over all sets of k of the question's samples, computed from how often each answer came, so it is unbiased.
    Of answers that tie, the share that is right counts, which is what picking the first of them gives on average.

    Args:
        samples: for each question, (answer, whether it is right) of each sample, at least `k`.
        k: 1 or more.

    Returns:
        NaN without questions; a question without any answer counts as not right.

    Raises:
        ValueError: if k is out of range.

    >>> maj_at_k([[("7", True), ("7", True), ("5", False)]], 3)
    1.0
    """
    _check(samples, k)
    return float(np.mean([majorities(one)[k - 1] for one in samples])) if samples else math.nan


def majorities(answers: Answers) -> tuple[float, ...]:
    """For k = 1, 2, ... up to the number of samples, the chance that the majority of k of them is right.

    Raises:
        ValueError: for more than 1,000 samples.
    """
    counts = Counter(answer for answer, _ in answers if answer is not None)
    right = {answer for answer, is_right in answers if is_right}
    mine, others = (sorted(counts[one] for one in counts if (one in right) == side) for side in (True, False))
    return _majorities(len(answers), tuple(mine), tuple(others))


def pass_interval(answers: Sequence[Answers], k: int) -> tuple[float, float, float]:
    """pass@k over questions, and the ends of its interval."""
    return share_interval([pass_at_k([[is_right for _, is_right in one]], k) for one in answers], [1.0] * len(answers))


def maj_interval(answers: Sequence[Answers], k: int) -> tuple[float, float, float]:
    """maj@k over questions, and the ends of its interval."""
    return share_interval([majorities(one)[k - 1] for one in answers], [1.0] * len(answers))


@lru_cache(maxsize=1 << 16)
def _majorities(samples: int, right: tuple[int, ...], wrong: tuple[int, ...]) -> tuple[float, ...]:
    """As `majorities`, from how often each right and each wrong answer came."""
    if samples > MOST:
        raise ValueError(f"majorities are counted for at most {MOST:,} samples of a question, got {samples:,}")
    sets, won = _choices(samples), np.zeros(samples + 1)
    for i, times in enumerate(right):
        rest = [*right[:i], *right[i + 1 :], *wrong]
        for most in range(1, times + 1):  # this answer is among the k so often, and no other one is more often
            ways = _ways(samples, rest, samples - times - sum(rest), most)
            shares = ways / np.arange(1, len(ways) + 1)[:, None]
            won[most:] += math.comb(times, most) * shares.sum(axis=0)[: samples + 1 - most]
    return tuple(np.minimum(won / sets, 1.0)[1:].tolist())


def _ways(samples: int, counts: Sequence[int], silent: int, most: int) -> NDArray[np.float64]:
    """Float[ties + 1, samples + 1]: in how many ways so many answers come exactly `most` times, none more, in so many.

    Args:
        samples: number of samples.
        counts: how often each answer came.
        silent: samples without an answer.
        most: 1 or more.
    """
    ways = np.zeros((sum(count >= most for count in counts) + 1, samples + 1))
    ways[0, : silent + 1] = _choices(silent)
    for count in counts:
        new = np.zeros_like(ways)
        for times in range(min(count, most) + 1):
            term = math.comb(count, times) * ways[:, : samples + 1 - times]
            if times < most:
                new[:, times:] += term
            else:
                new[1:, times:] += term[:-1]
        ways = new
    return ways


def _choices(samples: int) -> NDArray[np.float64]:
    return np.array([math.comb(samples, k) for k in range(samples + 1)], dtype=float)


def _check(samples: Sequence[Sequence[object]], k: int) -> None:
    fewest = min(map(len, samples), default=k)
    if not 1 <= k <= fewest:
        raise ValueError(f"k must be between 1 and the fewest samples of a question, {fewest}, got {k}")
