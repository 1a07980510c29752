"""pass@k and maj@k: how often at least one of k samples, or their majority, is right."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from thinkpace.controllers.voting import vote


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
    if not right:
        return math.nan
    fewest = min(map(len, right))
    if not 1 <= k <= fewest:
        raise ValueError(f"k must be between 1 and the fewest samples of a question, {fewest}, got {k}")
    return float(np.mean([1 - math.comb(len(r) - sum(r), k) / math.comb(len(r), k) for r in right]))


def maj_at_k(samples: Sequence[Sequence[tuple[str | None, bool]]], k: int) -> float:
    """maj@k: the share of questions whose first `k` samples have a right majority answer.

    Args:
        samples: for each question, (answer, whether it is right) of each sample, at least `k`.
        k: 1 or more.

    Returns:
        NaN without questions; a question without any answer counts as not right.

    Raises:
        ValueError: if k is out of range.
    """
    if not samples:
        return math.nan
    fewest = min(map(len, samples))
    if not 1 <= k <= fewest:
        raise ValueError(f"k must be between 1 and the fewest samples of a question, {fewest}, got {k}")
    chosen = [(group, vote([answer for answer, _ in group[:k]])) for group in samples]
    return float(np.mean([at is not None and group[at][1] for group, at in chosen]))
