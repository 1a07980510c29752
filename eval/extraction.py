"""Where the final answer stands in a text: the answer part first, then the place its task's rule names."""

from __future__ import annotations

import re

FINAL = "Final Answer:"
_BOXED = re.compile(r"\\boxed\s*\{")
_SAID = re.compile(r"\banswer\s+is\b[:\s]*(.*?)(?:\.(?=\s|$)|\n|$)", re.IGNORECASE)
_LABELLED = re.compile(r"^A:(.*)$", re.MULTILINE)
_FORMULA = re.compile(r"\\\[(.+?)\\\]|\\\((.+?)\\\)|\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)
_LETTER = re.compile(r"^[^A-Za-z0-9]*([A-Z])(?![A-Za-z0-9])")
_BRACKETED = re.compile(r"\(([A-Z])\)")


def answer_part(text: str, open_: str, close: str, opened: bool | None = None) -> str | None:
    """What a text says after its thinking; None if that never closed.

    The markers are followed in order, as the controls do: a close in the answer is text, and thinking that is opened
    again goes on until its own close.

    Args:
        text: all that was generated.
        open_, close: the markers.
        opened: whether the prompt had opened thinking; None: if the text closes before it opens.
    """
    first_open, first_close = text.find(open_), text.find(close)
    if opened is None:
        opened = first_close >= 0 and not 0 <= first_open < first_close
    at, thinking = 0, opened
    answer_from = 0
    while True:
        marker = close if thinking else open_
        found = text.find(marker, at)
        if found < 0:
            return None if thinking else text[answer_from:]
        at = found + len(marker)
        thinking = not thinking
        if not thinking:
            answer_from = at


def extract(answer: str, final: str | None = None, *, grader: str = "exact") -> str | None:
    """The final answer in an answer part, without the dressing of Markdown and LaTeX; None if there is none.

    What follows the last "Final Answer:" on its line (s1), else the last \\boxed{} (MATH), else the line after the last
    "####" (GSM8K), else what follows the last "answer is" (chain-of-thought prompts, BBH) or "A:" at the beginning of a
    line. Else, for "choice", the last letter in brackets, or the only letter there is; for "math", the last formula.

    Args:
        answer: the answer part of a completion.
        final: another text that the answer may follow, such as one that a control writes.
        grader: what it is for.

    >>> extract("So it is 4.\\n**Final Answer:** 4"), extract(r"thus $\\boxed{\\frac{1}{2}}$"), extract("I do not know")
    ('4', '\\\\frac{1}{2}', None)
    """
    found = _marked(answer, final)
    if grader == "choice":
        letter = _LETTER.match(found) if found else None
        if letter:
            return letter[1]
        bracketed = _BRACKETED.findall(answer)
        alone = _LETTER.match(answer) if found is None and len(answer.strip(" \n*().")) == 1 else None
        return bracketed[-1] if bracketed else alone[1] if alone else found
    if found is None and grader == "math":
        formulas = ["".join(groups) for groups in _FORMULA.findall(answer)]
        return _undressed(formulas[-1]) if formulas else None
    return found


def _marked(answer: str, final: str | None) -> str | None:
    marks = "|".join(re.escape(mark.rstrip(": ")) for mark in dict.fromkeys((FINAL, final or FINAL)))
    for line in reversed(re.findall(rf"(?:{marks})[*\s]*:?(.*)", answer, re.IGNORECASE)):
        boxed = last_boxed(line)
        if found := _undressed(line if boxed is None else boxed):
            return found
    boxed = last_boxed(answer)
    if boxed is not None:
        return _undressed(boxed)
    if "####" in answer:
        return _undressed(answer.rsplit("####", 1)[1].strip().partition("\n")[0])
    for rule in (_SAID, _LABELLED):
        for said in reversed(rule.findall(answer)):
            if found := _undressed(said):
                return found
    return None


def _undressed(text: str) -> str | None:
    """Without the marks of emphasis and of formulas around it; None if nothing is left."""
    before = None
    text = text.strip()
    while text != before:
        before = text
        text = text.strip("*$ ").removeprefix("\\(").removesuffix("\\)").removeprefix("\\[").removesuffix("\\]").strip()
    return text or None


def last_boxed(text: str) -> str | None:
    """What stands in the last \\boxed{} that is closed."""
    last = None
    for match in _BOXED.finditer(text):
        depth = 1
        for end in range(match.end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if depth == 0:
                last = text[match.end() : end]
                break
    return last
