"""TIP's underthinking score with any judge, and a cheap surrogate for a judge."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from thinkpace.eval.runs.journal import Entry
from thinkpace.eval.stats.curves import underthinking

#: returns the tokens of a response up to the end of its first right thought; None if no thought is right
Judge = Callable[[Entry], int | None]


def first_said(entry: Entry) -> int | None:
    """A surrogate for a judge: tokens up to the first place where the known answer stands as a separate word.

    It also counts accidental mentions, and misses right thoughts that do not state the answer, so the result is not
    TIP's score.
    """
    text, wanted = entry.row["text"], entry.row["expected"]
    match = re.search(rf"(?<![\w.]){re.escape(wanted)}(?![\w])", text)
    # the position in tokens is estimated from the position in characters
    return round(len(entry.row["tokens"]) * match.end() / len(text)) if match else None


def score(entries: Iterable[Entry], judge: Judge = first_said) -> float:
    """The underthinking score: over wrong samples, the mean share of tokens after the first right thought.

    Args:
        entries: samples, of any verdict.
        judge: finds the first right thought of a sample. TIP uses two language models (arXiv 2501.18585, section 3);
            the default is a surrogate.

    Returns:
        In [0, 1]; NaN without wrong samples.
    """
    wrong = [entry for entry in entries if entry.verdict in ("wrong", "truncated", "no_answer") and entry.row["tokens"]]
    return underthinking([len(entry.row["tokens"]) for entry in wrong], [judge(entry) for entry in wrong])
