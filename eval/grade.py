"""Grading: the answer part of a completion against the known answer."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Literal

from thinkpace.processors.request import Completion

Verdict = Literal["right", "wrong", "truncated", "no_answer", "error"]

FINAL = "Final Answer:"
_BOXED = re.compile(r"\\boxed\{")


def extract(answer: str, final: str | None = None) -> str | None:
    """The final answer in an answer text, without the dressing of Markdown and LaTeX.

    It is what follows the last "Final Answer:" on its line, else the last \\boxed{}, else the last line that follows
    "####". None if there is none, or it is empty.

    Args:
        answer: the answer part of a completion.
        final: another text that the answer may follow, such as one that a control writes.

    >>> extract("So it is 4.\\n**Final Answer:** 4"), extract(r"thus $\\boxed{\\frac{1}{2}}$"), extract("I do not know")
    ('4', '\\\\frac{1}{2}', None)
    """
    marks = "|".join(re.escape(mark.rstrip(": ")) for mark in dict.fromkeys((FINAL, final or FINAL)))
    for line in reversed(re.findall(rf"(?:{marks})[*\s]*:?(.*)", answer, re.IGNORECASE)):
        boxed = _last_boxed(line)
        if found := _undressed(line if boxed is None else boxed):
            return found
    boxed = _last_boxed(answer)
    if boxed is not None:
        return _undressed(boxed)
    if "####" in answer:
        return _undressed(answer.rsplit("####", 1)[1].strip().partition("\n")[0])
    return None


def _undressed(text: str) -> str | None:
    """Without the marks of emphasis and of formulas around it; None if nothing is left."""
    before = None
    text = text.strip()
    while text != before:
        before = text
        text = text.strip("*$ ").removeprefix("\\(").removesuffix("\\)").removeprefix("\\[").removesuffix("\\]")
    return text or None


def _last_boxed(text: str) -> str | None:
    last = None
    for match in _BOXED.finditer(text):
        depth = 1
        for end in range(match.end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if depth == 0:
                last = text[match.end() : end]
                break
    return last


def same(found: str, known: str) -> bool:
    """Whether two answers are the same number, or the same text but for case, outer spaces and a final full stop.

    >>> same("1,234.0", "1234"), same("Paris.", "paris"), same("-5", "5")
    (True, True, False)
    """
    numbers = _number(found), _number(known)
    if numbers[0] is not None and numbers[1] is not None:
        return numbers[0] == numbers[1]
    return _plain(found) == _plain(known)


def grade(completion: Completion, known: str, final: str | None = None) -> tuple[Verdict, str | None]:
    """The verdict, and the answer that was found.

    "truncated" means that the token limit came before an answer did; thinking that never closed is not graded on its
    thoughts.
    """
    found = extract(completion.answer, final)
    if found is None or completion.receipt.end == "open":
        return ("truncated" if completion.finish_reason == "length" else "no_answer"), None
    return ("right" if same(found, known) else "wrong"), found


def _plain(text: str) -> str:
    return " ".join(text.split()).rstrip(".").strip("$").casefold()


def _number(text: str) -> Decimal | None:
    cleaned = text.strip().rstrip(".").strip("$").strip()
    if not re.fullmatch(r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?|[+-]?\.\d+", cleaned):
        return None
    try:
        return Decimal(cleaned.replace(",", ""))
    except InvalidOperation:
        return None
