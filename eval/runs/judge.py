"""Verdicts on generated samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from thinkpace.eval.grading.grader import Grading
from thinkpace.eval.runs.journal import Entry
from thinkpace.eval.runs.unit import RawSample

Verdict = Literal["right", "wrong", "truncated", "no_answer", "error"]


def graded_entries(made: Sequence[RawSample], known: dict[str, str], grading: Grading) -> Iterator[Entry]:
    """Add verdicts to samples.

    "truncated" means that the token limit was reached before an answer; thinking that never closed is not searched for
    one. If the grader fails, the verdict is "error" and the row keeps the generated data.

    Args:
        made: generated samples.
        known: question id -> known answer.
        grading: compares answers.
    """
    answered = [item for item in made if item.row.get("extracted") is not None]
    comparisons = iter(grading.all([(item.row["extracted"], known[item.question]) for item in answered]))
    for point, question, sample, seed, row in made:
        verdict: Verdict
        row = {name: value for name, value in row.items() if name != "error" or "tokens" not in row}
        if "error" in row:
            verdict = "error"
        elif row["extracted"] is None:
            verdict = "truncated" if row["finish_reason"] == "length" else "no_answer"
        else:
            same = next(comparisons)
            verdict = "error" if isinstance(same, Exception) else "right" if same else "wrong"
            row = row | ({"error": f"grader: {same}"} if isinstance(same, Exception) else {})
        yield Entry(point, question, sample, seed, verdict, row | {"expected": known[question]})
