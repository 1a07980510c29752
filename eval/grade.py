"""Grading: the answer part of a completion against the known answer."""

from __future__ import annotations

from typing import Literal

from thinkpace.eval.extraction import extract
from thinkpace.eval.graders import same
from thinkpace.processors.request import Completion

Verdict = Literal["right", "wrong", "truncated", "no_answer", "error"]


def grade(completion: Completion, known: str, final: str | None = None) -> tuple[Verdict, str | None]:
    """The verdict, and the answer that was found.

    "truncated" means that the token limit came before an answer did; thinking that never closed is not graded on its
    thoughts.
    """
    found = extract(completion.answer, final)
    if found is None or completion.receipt.end == "open":
        return ("truncated" if completion.finish_reason == "length" else "no_answer"), None
    return ("right" if same(found, known) else "wrong"), found
