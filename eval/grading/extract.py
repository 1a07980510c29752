"""Extract the final answer from a text: first the part after the thinking, then the answer in it, by rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

FINAL = "Final Answer:"
#: (answer part, another text for "final") -> candidate answers, the likeliest first
Rule = Callable[[str, str | None], Iterator[str]]
_SAID = re.compile(r"\banswer\s+is\b[:\s]*(.*?)(?:\.(?=\s|$)|\n|$)", re.IGNORECASE)
_LABELLED = re.compile(r"^A:(.*)$", re.MULTILINE)
#: "A" and "I" before a lower-case word are words, not choices
_LETTER = re.compile(
    r"^[^A-Za-z0-9]*(?:(?:[Oo]ption|[Cc]hoice)\b[^A-Za-z0-9]*)?([A-Z])(?![A-Za-z0-9])(?!(?<=[AI])\s+[a-z])"
)
_WRAPPED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|boldsymbol)\s*\{([^{}]*)\}")
#: a number with an optional unit; "2. Compute" is a heading, not a number
_NUMBER = re.compile(r"[-+−]?[$€£]?[-+−]?\d(?:[\d,.]*\d)?%?(?:\s+[a-z]+)?\.?")
_BRACES = re.compile(r"\\boxed\s*\{|\\[{}]|\{|\}")
_BRACKETED = re.compile(r"\(([A-Z])\)")


def answer_part(text: str, open_: str, close: str, opened: bool | None = None) -> str | None:
    """The text after the thinking; None if the thinking never closes.

    Markers are read in order, as the controls do: a closing marker in the answer is text, and thinking that opens again
    lasts until its own close.

    Args:
        text: the whole generated text.
        open_, close: the markers.
        opened: whether the prompt already opened thinking. None: it did if the text closes thinking before opening it.
    """
    first_open, first_close = text.find(open_), text.find(close)
    if opened is None:
        opened = first_close >= 0 and not 0 <= first_open < first_close
    at, thinking = 0, opened
    answer_from = 0
    while True:
        marker = close if thinking else open_
        position = text.find(marker, at)
        if position < 0:
            return None if thinking else text[answer_from:]
        at = position + len(marker)
        thinking = not thinking
        if not thinking:
            answer_from = at


def rules_of(text: str) -> tuple[str, ...]:
    """Parse comma-separated names of rules.

    Raises:
        ValueError: for a name that is not in `RULES`, a repeated name, or no name.

    >>> rules_of("hashes, boxed")
    ('hashes', 'boxed')
    """
    names = tuple(name.strip() for name in text.split(","))
    check_rules(names)
    return names


def check_rules(names: Sequence[str]) -> None:
    """Check names of rules.

    Raises:
        ValueError: as in `rules_of`.
    """
    bad = [name for name in names if name not in RULES]
    if bad or not names:
        raise ValueError(f"rules must be some of {', '.join(RULES)}, got {', '.join(map(repr, bad)) or 'none'}")
    if len(set(names)) < len(names):
        raise ValueError(f"a rule is given twice: {', '.join(names)}")


def rules_for(grader: str, official: str = "boxed") -> tuple[str, ...]:
    """All rules for a grader, in the order to try them: "final", the rule of the task's authors, then the others.

    Args:
        grader: name of the grader; "choice" adds the rule for letters, "math" the rule for formulas.
        official: the rule of the task's authors.

    >>> rules_for("numeric", "hashes")
    ('final', 'hashes', 'boxed', 'said', 'labelled', 'alone')
    """
    last = {"choice": ("letter",), "math": ("formula",)}.get(grader, ())
    return tuple(dict.fromkeys(("final", official, *_GENERAL, *last)))


def extract(answer: str, final: str | None = None, rules: Sequence[str] = (), *, grader: str = "same") -> str | None:
    """The final answer in an answer part, without Markdown and LaTeX markup around it; None if there is none.

    The rules are tried in order. The first candidate of the grader's kind wins: for "choice" a letter, for "numeric" a
    text with a digit, otherwise any text. Without such a candidate, the first candidate of all is the answer.

    Args:
        answer: the answer part of a completion.
        final: another text that the answer may follow, such as one that a control injects; for the rule "final".
        rules: names of `RULES`. Default: `rules_for(grader)`.
        grader: name of the grader.

    >>> extract("So it is 4.\\n**Final Answer:** 4"), extract(r"thus $\\boxed{\\frac{1}{2}}$"), extract("I do not know")
    ('4', '\\\\frac{1}{2}', None)
    >>> extract("5 * 3 = 15 #### 15", rules=("boxed",)), extract("The answer is option (B).", grader="choice")
    (None, 'B')
    """
    of_kind, otherwise = _KINDS.get(grader, str), None
    for rule in rules or rules_for(grader):
        for candidate in map(_undressed, RULES[rule](answer, final)):
            if not candidate or candidate.endswith((":", "：")):
                continue
            if wanted := of_kind(candidate):
                return wanted
            otherwise = otherwise or candidate
    return otherwise


def _final(answer: str, final: str | None) -> Iterator[str]:
    """The rest of the line after the mark; if it is empty, the last \\boxed{} below, else the first line below."""
    marks = "|".join(re.escape(mark.rstrip(": ")) for mark in dict.fromkeys((FINAL, final or FINAL)))
    matches = [*re.finditer(rf"(?:{marks})[* \t]*[:：]?[* \t]*", answer, re.IGNORECASE)]
    for match in matches[:-9:-1]:  # a text in a loop repeats the mark; the last eight are enough
        line, _, below = answer[match.end() :].partition("\n")
        if not line.strip("* \t"):
            boxed = last_boxed(below)
            line = below.lstrip().partition("\n")[0] if boxed is None else boxed
        yield _unboxed(line)


def _boxed(answer: str, _final: str | None) -> Iterator[str]:
    boxed = last_boxed(answer)
    if boxed is not None:
        yield boxed


def _hashes(answer: str, _final: str | None) -> Iterator[str]:
    """First every "####" line that is a number, as in GSM8K; then the last "####" line if it is not a heading."""
    pieces = answer.split("####")[1:]
    lines = [piece.strip(" \t").partition("\n")[0].strip() for piece in pieces]
    yield from (line for line in map(_unboxed, lines) if _NUMBER.fullmatch(line))
    if pieces:
        line, _, below = pieces[-1].strip(" \t").partition("\n")
        if last_boxed(below) is None and (not below or below.isspace() or below.lstrip(" \t").startswith("\n")):
            yield _unboxed(line)


def _each(pattern: re.Pattern[str]) -> Rule:
    """A rule that yields the only group of every match, from the last match to the first."""

    def rule(answer: str, _final: str | None) -> Iterator[str]:
        return (match[1] for match in reversed([*pattern.finditer(answer)]))

    return rule


def _alone(answer: str, _final: str | None) -> Iterator[str]:
    text = _undressed(answer)
    if text and not re.search(r"\s|\\boxed|####", text):
        yield text


def _formula(answer: str, _final: str | None) -> Iterator[str]:
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
    "final": _final,  # what follows the last "Final Answer:" (s1)
    "boxed": _boxed,  # the content of the last closed \boxed{} (MATH)
    "hashes": _hashes,  # what follows "####" (GSM8K, Chain of Draft)
    "said": _each(_SAID),  # what follows the last "answer is" (chain-of-thought prompts, BBH)
    "labelled": _each(_LABELLED),  # what follows "A:" at the beginning of a line
    "alone": _alone,  # the whole text, if it is one word (direct answers)
    "letter": _each(_BRACKETED),  # the last letter in brackets (multiple choice)
    "formula": _formula,  # the last formula
}
_GENERAL = ("boxed", "hashes", "said", "labelled", "alone")


def _choice(answer: str) -> str:
    """The choice letter at the start of an answer; empty if there is none, as in "A right triangle"."""
    match = _LETTER.match(_WRAPPED.sub(r"\1", answer))
    return match[1] if match else ""


def _with_digit(answer: str) -> str:
    return answer if re.search(r"\d", answer) else ""


_KINDS: Mapping[str, Callable[[str], str]] = {"choice": _choice, "numeric": _with_digit}


def _unboxed(line: str) -> str:
    """The content of the last \\boxed{} in a line; without one, the line."""
    boxed = last_boxed(line)
    return line if boxed is None else boxed


def _undressed(text: str) -> str:
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
    """The content of the last closed \\boxed{}; None if there is none."""
    opened, last = list[int | None](), (-1, -1)
    for match in _BRACES.finditer(text):
        if match[0].endswith("{"):
            opened.append(match.end() if len(match[0]) > 1 else None)
        elif match[0] == "}" and opened:
            start = opened.pop()
            if start is not None and start > last[0]:
                last = start, match.start()
    return text[last[0] : last[1]] if last[0] >= 0 else None
