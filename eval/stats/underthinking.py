"""TIP's underthinking score with a judge of one's own, and a cheap surrogate for one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from thinkpace.eval.runs.journal import Entry
from thinkpace.eval.stats.curves import underthinking

#: says how much of a response, in tokens, it took to the end of the first right thought; None if no thought is right
Judge = Callable[[Entry], int | None]


def first_said(entry: Entry) -> int | None:
    """A surrogate for a judge: the first place where the known answer is said as a word of its own.

    It finds answers that were said by chance, and misses thoughts that are right without one: not TIP's score.
    """
    text, wanted = entry.row["text"], entry.row["expected"]
    found = re.search(rf"(?<![\w.]){re.escape(wanted)}(?![\w])", text)
    # characters stand for tokens, which a text alone does not show
    return round(len(entry.row["tokens"]) * found.end() / len(text)) if found else None


def score(entries: Iterable[Entry], judge: Judge = first_said) -> float:
    """The underthinking score: over wrong samples, the mean share of tokens after the first right thought.

    Args:
        entries: samples, of any verdict.
        judge: of a response. TIP's are two language models (arXiv 2501.18585, section 3); the default is a surrogate.

    Returns:
        In [0, 1]; NaN without wrong samples.
    """
    wrong = [entry for entry in entries if entry.verdict in ("wrong", "truncated", "no_answer") and entry.row["tokens"]]
    return underthinking([len(entry.row["tokens"]) for entry in wrong], [judge(entry) for entry in wrong])
