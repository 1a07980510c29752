"""Row statistics of a batch: one operation on the device per kind, and one copy from the device."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import torch

from thinkpace.adapters.logits.randomness import uniform
from thinkpace.adapters.sequences.sequence_log import SequenceLog
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.core.decisions import RowStatistic, Statistics

NO_TRIALS = (
    "a control needs a fork for trial answers, which a logits processor cannot make: use HFEngine, or another rule of "
    "ConfidenceExit"
)


class Trials(Protocol):
    """Runs trials: greedy answers on a fork of the sequence, which a plain logits processor cannot generate."""

    def __call__(self, logs: Sequence[SequenceLog], needs: Sequence[RowStatistic]) -> list[float]:
        """For each log the value of its "trial" statistic; also updates the token counts of the log."""
        ...


def row_statistics(
    asking: Mapping[int, tuple[SequenceLog, Collection[RowStatistic]]],
    scores: torch.Tensor,
    trials: Trials | None = None,
) -> Mapping[int, Statistics]:
    """Compute the requested row statistics.

    Args:
        asking: row -> its log, and the statistics requested about its next token.
        scores: Float[rows, vocabulary], before any edit.
        trials: runs trials; None if they are not available.

    Returns:
        row -> statistic -> value.

    Raises:
        UnsupportedControl: if a trial is requested and `trials` is None.
    """
    numbers: dict[int, dict[RowStatistic, float]] = {row: {} for row in asking}
    wanted: dict[RowStatistic, list[int]] = {}
    for row, (_, needs) in asking.items():
        for need in needs:
            wanted.setdefault(need, []).append(row)
    for need, rows in wanted.items():
        logs = [asking[row][0] for row in rows]
        if need.kind == "uniform":
            values = [uniform(log.seed, len(log.tokens), "control") for log in logs]
        elif need.kind != "trial":
            values = batch_statistic(scores[rows], need.kind, [log.close_ids for log in logs])
        elif trials is None:
            raise UnsupportedControl(NO_TRIALS)
        else:
            values = trials(logs, [need] * len(logs))
        for row, number in zip(rows, values, strict=True):
            numbers[row][need] = number
    return numbers


def batch_statistic(scores: torch.Tensor, kind: str, closes: Sequence[Sequence[int]]) -> list[float]:
    """A statistic of each row at temperature 1, as `logits.statistics.row_statistic`.

    Args:
        scores: Float[rows, vocabulary], before any edit.
        kind: "entropy", "top_probability" or "close_margin".
        closes: for each row, the ids that close thinking.
    """
    likeliest = None
    if kind == "close_margin":
        never = scores.new_tensor(-torch.inf)
        likeliest = torch.stack([scores[row, list(ids)].amax() if ids else never for row, ids in enumerate(closes)])
    return [float(number) for number in device_statistic(scores, kind, likeliest).tolist()]


def device_statistic(scores: torch.Tensor, kind: str, likeliest: torch.Tensor | None) -> torch.Tensor:
    """A statistic of every row, left on the device: Double[rows].

    Args:
        scores: Float[rows, vocabulary], before any edit.
        kind: as in `batch_statistic`.
        likeliest: Float[rows], the largest score of a closing id; for "close_margin" only.
    """
    if likeliest is not None:  # equal for logits and log-probabilities
        return scores.amax(1).double() - likeliest.double()
    logs = torch.log_softmax(scores.double(), 1)
    if kind == "entropy":
        return -(logs.exp() * logs.masked_fill(torch.isneginf(logs), 0.0)).sum(1)
    return logs.amax(1).exp()
