"""Rules that find answers in the answer part of a text, by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

#: (answer part, what follows a text that a control wrote there) -> candidate answers, the likeliest first
Rule = Callable[[str, str | None], Iterator[str]]

_MARKUP = r"[#*_>~ \t]*"
#: "Final Answer" with a colon, or alone on its line as a heading
_FINAL = re.compile(rf"final answer{_MARKUP}[:：]{_MARKUP}|^{_MARKUP}(?:the )?final answer{_MARKUP}$", re.I | re.M)
_MINERVA = re.compile(r"final answer is\s*([^\n]{0,500}?)\s*\.?\s*I hope it is correct", re.I)
_TAGGED = re.compile(r"<answer>((?:(?!<answer>).)*?)</answer>", re.I | re.S)
_BRACES = re.compile(r"\\f?boxed\s*\{|\\fbox\s*\{|\\[{}]|\{|\}")
_PLAIN_BOX = re.compile(r"\\f?boxed[ \t]*([^\s{}$\\]+)|\\f?boxed[ \t]*(\\[A-Za-z]+(?:\{[^{}]*\})*)")
_BETWEEN_BOXES = re.compile(r"[\s$,;.]*(?:and|or)?[\s$,;.]*")
_SAID = re.compile(r"\banswer\s+is\b[:\s]*(.*?)(?:\.(?=\s|$)|\n|$)", re.I)
_LABELLED = re.compile(
    rf"\banswer{_MARKUP}[:：]{_MARKUP}\s*(\S.*)|^{_MARKUP}A:(.*)$|^[ \t]*(?:#+|\*\*)[ \t]*answer{_MARKUP}$\s*(\S.*)",
    re.I | re.M,
)
#: a number with an optional unit; "2. Compute" is a heading, not a number
_NUMBER = re.compile(r"[-+−]?[$€£]?[-+−]?\d(?:[\d,.]*\d)?%?(?:\s+[a-z]+)?\.?")
_FLEXIBLE = re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+")
_OPTION = re.compile(r"\b(?:option|choice)\s+is\b[:\s]*(.*?)(?:\.(?=\s|$)|\n|$)", re.I)
_LETTERED = re.compile(r"^[*_ \t]*([A-Z])[*_]*[.):][*_]*(?=\s|$)", re.M)
_BRACKETED = re.compile(r"\(([A-Z])\)")


def _written(_answer: str, written: str | None) -> Iterator[str]:
    if written is not None:
        yield _line_of(written)


def _final(answer: str, _written: str | None) -> Iterator[str]:
    matches = [*_FINAL.finditer(answer)]
    for match in matches[:-9:-1]:  # a text in a loop repeats the mark; the last eight are enough
        yield _line_of(answer[match.end() :])


def _line_of(text: str) -> str:
    """The first line; if it is empty, the last box below it, else the first line below. A box in it, or what the line
    says the answer is, stands for it."""
    line, _, below = text.partition("\n")
    if not line.strip("*_ \t"):
        boxed = last_boxed(below)
        line = below.lstrip().partition("\n")[0] if boxed is None else boxed
    said = [match[1] for match in _SAID.finditer(line) if match[1]]
    return unboxed(said[-1] if said else line)


def _boxed(answer: str, _written: str | None) -> Iterator[str]:
    boxed = last_boxed(answer)
    if boxed is not None:
        yield boxed
    for match in reversed([*_PLAIN_BOX.finditer(answer)]):
        yield (match[1] or match[2]).rstrip(".,;:")


def _hashes(answer: str, _written: str | None) -> Iterator[str]:
    """First every "####" line that is a number, as in GSM8K; then the last "####" line if it is not a heading."""
    pieces = answer.split("####")[1:]
    lines = [piece.strip(" \t").partition("\n")[0].strip() for piece in pieces]
    yield from (line for line in map(unboxed, lines) if _NUMBER.fullmatch(line))
    if pieces:
        line, _, below = pieces[-1].strip(" \t").partition("\n")
        if last_boxed(below) is None and (not below or below.isspace() or below.lstrip(" \t").startswith("\n")):
            yield unboxed(line)


def _each(pattern: re.Pattern[str]) -> Rule:
    """A rule that yields the group of every match, from the last match to the first."""

    def rule(answer: str, _written: str | None) -> Iterator[str]:
        for match in reversed([*pattern.finditer(answer)]):
            yield unboxed(next(group for group in match.groups() if group is not None))

    return rule


def _alone(answer: str, _written: str | None) -> Iterator[str]:
    text = undressed(answer)
    if text and not re.search(r"\s|\\f?boxed|####", text):
        yield text


def _lettered(answer: str, _written: str | None) -> Iterator[str]:
    """The letter at the beginning of a line, as in "B. Paris", if only one line begins with one."""
    letters = _LETTERED.findall(answer)
    if len(letters) == 1:
        yield letters[0]


def _flexible(answer: str, _written: str | None) -> Iterator[str]:
    found = _FLEXIBLE.findall(answer)
    if found:
        yield found[-1].strip("$.,")


def _formula(answer: str, _written: str | None) -> Iterator[str]:
    """The text between the last closed pair of formula delimiters."""
    candidates = list[tuple[int, int, str]]()
    for begin, end in (("\\[", "\\]"), ("\\(", "\\)"), ("$$", "$$"), ("$", "$")):
        close = answer.rfind(end)
        start = answer.rfind(begin, 0, max(close, 0))
        if 0 <= start < close and answer[start + len(begin) : close].strip():
            candidates.append((close + len(end), len(begin), answer[start + len(begin) : close]))
    if candidates:
        yield max(candidates)[2]


#: name -> rule that yields candidate answers, the likeliest first
RULES: Mapping[str, Rule] = {
    "written": _written,  # what follows a text that a control wrote for the answer (s1's "Final Answer:")
    "final": _final,  # what follows the last "Final Answer:" that the model wrote
    "boxed": _boxed,  # the content of the last closed \boxed{} or \fbox{} (MATH)
    "hashes": _hashes,  # what follows "####" (GSM8K, lm-eval's strict match; Chain of Draft)
    "minerva": _each(_MINERVA),  # "The final answer is X. I hope it is correct." (Minerva)
    "tagged": _each(_TAGGED),  # the last <answer>X</answer>
    "said": _each(_SAID),  # what follows the last "answer is" (chain-of-thought prompts, BBH)
    "labelled": _each(_LABELLED),  # what follows the last "Answer:" (simple-evals), or "A:" at the beginning of a line
    "alone": _alone,  # the whole text, if it is one word (direct answers)
    "option": _each(_OPTION),  # what follows the last "option is" (multiple choice)
    "lettered": _lettered,  # the letter of the only line that begins with one (multiple choice)
    "letter": _each(_BRACKETED),  # the last letter in brackets (multiple choice)
    "formula": _formula,  # the last formula
    "flexible": _flexible,  # the last number (lm-eval's flexible extraction); only if it is asked for
}
GENERAL = ("final", "boxed", "hashes", "minerva", "tagged", "said", "labelled", "alone")


def unboxed(line: str) -> str:
    """The content of the last box in a line; without one, the line."""
    boxed = last_boxed(line)
    return line if boxed is None else boxed


def undressed(text: str) -> str:
    """Remove the markup of emphasis, headings and formulas around a text."""
    before = None
    for _ in range(8):  # deeper nesting is not an answer
        if text == before:
            break
        before, text = text, text.strip().strip("*").lstrip("#").strip()
        for begin, end in (("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
            inner = text.strip("$") if begin == "$" else text.removeprefix(begin).removesuffix(end)
            if begin not in inner and end not in inner:
                text = inner.strip()
    return text


def last_boxed(text: str) -> str | None:
    """The content of the last closed box; of several that only "and", "or" and commas part, all, with commas.

    Returns:
        None if there is none.

    >>> last_boxed(r"\\boxed{1} so \\boxed{2}, \\boxed{3}")
    '2, 3'
    """
    opened, boxes = list[tuple[int, int] | None](), list[tuple[int, int, int, int]]()
    for match in _BRACES.finditer(text):
        if match[0].endswith("{"):
            opened.append((match.start(), match.end()) if len(match[0]) > 1 else None)
        elif match[0] == "}" and opened:
            start = opened.pop()
            if start is not None:
                boxes.append((*start, match.start(), match.end()))
    boxes.sort()
    if not boxes:
        return None
    parts = [boxes.pop()]
    while boxes and boxes[-1][3] <= parts[0][0] and _BETWEEN_BOXES.fullmatch(text[boxes[-1][3] : parts[0][0]]):
        parts.insert(0, boxes.pop())
    return ", ".join(text[begin:end] for _, begin, end, _ in parts)
