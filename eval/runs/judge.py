"""Verdicts on generated samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from thinkpace.eval.grading.grader import Grading
from thinkpace.eval.runs.journal import Entry
from thinkpace.eval.runs.unit import RawSample

Verdict = Literal["right", "wrong", "truncated", "no_answer", "error"]


def graded_entries(made: Sequence[RawSample], known: dict[str, str], grading: Grading) -> Iterator[Entry]:
    """Samples with their verdicts.

    "truncated" means that the token limit came before an answer did; thinking that never closed is not graded on its
    thoughts. A grader that fails gives an error, and what was generated is kept beside it.
    """
    answered = [one for one in made if one.row.get("extracted") is not None]
    found = iter(grading.all([(one.row["extracted"], known[one.question]) for one in answered]))
    for point, question, sample, seed, row in made:
        verdict: Verdict
        row = {name: value for name, value in row.items() if name != "error" or "tokens" not in row}
        if "error" in row:
            verdict = "error"
        elif row["extracted"] is None:
            verdict = "truncated" if row["finish_reason"] == "length" else "no_answer"
        else:
            same = next(found)
            verdict = "error" if isinstance(same, Exception) else "right" if same else "wrong"
            row = row | ({"error": f"grader: {same}"} if isinstance(same, Exception) else {})
        yield Entry(point, question, sample, seed, verdict, row | {"expected": known[question]})
