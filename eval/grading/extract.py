"""Where the final answer stands in a text: the answer part first, then the place its task's rule names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

FINAL = "Final Answer:"
#: (answer part, another text for "final") -> what may be the answer
Rule = Callable[[str, str | None], Iterator[str]]
_SAID = re.compile(r"\banswer\s+is\b[:\s]*(.*?)(?:\.(?=\s|$)|\n|$)", re.IGNORECASE)
_LABELLED = re.compile(r"^A:(.*)$", re.MULTILINE)
#: "A" and "I" before a word of a sentence are words, not choices
_LETTER = re.compile(
    r"^[^A-Za-z0-9]*(?:(?:[Oo]ption|[Cc]hoice)\b[^A-Za-z0-9]*)?([A-Z])(?![A-Za-z0-9])(?!(?<=[AI])\s+[a-z])"
)
_WRAPPED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|boldsymbol)\s*\{([^{}]*)\}")
#: with a unit, perhaps; "2. Compute" is a heading
_NUMBER = re.compile(r"[-+−]?[$€£]?[-+−]?\d(?:[\d,.]*\d)?%?(?:\s+[a-z]+)?\.?")
_BRACES = re.compile(r"\\boxed\s*\{|\\[{}]|\{|\}")
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


def rules_of(text: str) -> tuple[str, ...]:
    """Rules from their names with commas between.

    Raises:
        ValueError: for a name that is none of `RULES`, one given twice, and none at all.

    >>> rules_of("hashes, boxed")
    ('hashes', 'boxed')
    """
    names = tuple(name.strip() for name in text.split(","))
    check_rules(names)
    return names


def check_rules(names: Sequence[str]) -> None:
    """Refuse what are no rules.

    Raises:
        ValueError: as in `rules_of`.
    """
    bad = [name for name in names if name not in RULES]
    if bad or not names:
        raise ValueError(f"rules must be some of {', '.join(RULES)}, got {', '.join(map(repr, bad)) or 'none'}")
    if len(set(names)) < len(names):
        raise ValueError(f"a rule is given twice: {', '.join(names)}")


def rules_for(grader: str, official: str = "boxed") -> tuple[str, ...]:
    """All rules in the order in which they are tried: what a control wrote, the task's own, and the others.

    Args:
        grader: that the answer is for: "choice" also looks for letters, "math" for formulas.
        official: the rule of the task's authors.

    >>> rules_for("numeric", "hashes")
    ('final', 'hashes', 'boxed', 'said', 'labelled', 'alone')
    """
    last = {"choice": ("letter",), "math": ("formula",)}.get(grader, ())
    return tuple(dict.fromkeys(("final", official, *_GENERAL, *last)))


def extract(answer: str, final: str | None = None, rules: Sequence[str] = (), *, grader: str = "same") -> str | None:
    """The final answer in an answer part, without the dressing of Markdown and LaTeX; None if there is none.

    It is what the first of the rules finds that finds anything of the grader's kind: for "choice" a letter, for
    "numeric" something with a digit; where none does, what the first finds that finds anything.

    Args:
        answer: the answer part of a completion.
        final: another text that the answer may follow, such as one that a control writes; for the rule "final".
        rules: names of `RULES`. Default: as in `rules_for` the grader.
        grader: that the answer is for.

    >>> extract("So it is 4.\\n**Final Answer:** 4"), extract(r"thus $\\boxed{\\frac{1}{2}}$"), extract("I do not know")
    ('4', '\\\\frac{1}{2}', None)
    >>> extract("5 * 3 = 15 #### 15", rules=("boxed",)), extract("The answer is option (B).", grader="choice")
    (None, 'B')
    """
    of_kind, otherwise = _KINDS.get(grader, str), None
    for rule in rules or rules_for(grader):
        for found in map(_undressed, RULES[rule](answer, final)):
            if not found or found.endswith((":", "：")):
                continue
            if wanted := of_kind(found):
                return wanted
            otherwise = otherwise or found
    return otherwise


def _final(answer: str, final: str | None) -> Iterator[str]:
    """On the line of the mark; if that is empty the last box below, else the first line below."""
    marks = "|".join(re.escape(mark.rstrip(": ")) for mark in dict.fromkeys((FINAL, final or FINAL)))
    matches = [*re.finditer(rf"(?:{marks})[* \t]*[:：]?[* \t]*", answer, re.IGNORECASE)]
    for match in matches[:-9:-1]:  # of a text that goes round in circles the last ones will do
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
    """First those that a number follows, as its authors have it; else the last that is no heading of what follows."""
    pieces = answer.split("####")[1:]
    lines = [piece.strip(" \t").partition("\n")[0].strip() for piece in pieces]
    yield from (line for line in map(_unboxed, lines) if _NUMBER.fullmatch(line))
    if pieces:
        line, _, below = pieces[-1].strip(" \t").partition("\n")
        if last_boxed(below) is None and (not below or below.isspace() or below.lstrip(" \t").startswith("\n")):
            yield _unboxed(line)


def _each(pattern: re.Pattern[str]) -> Rule:
    """The rule that takes the matches from the last one on, by the only group of each."""

    def rule(answer: str, _final: str | None) -> Iterator[str]:
        return (match[1] for match in reversed([*pattern.finditer(answer)]))

    return rule


def _alone(answer: str, _final: str | None) -> Iterator[str]:
    found = _undressed(answer)
    if found and not re.search(r"\s|\\boxed|####", found):
        yield found


def _formula(answer: str, _final: str | None) -> Iterator[str]:
    """What stands between the last delimiters that close."""
    found = list[tuple[int, int, str]]()
    for begin, end in (("\\[", "\\]"), ("\\(", "\\)"), ("$$", "$$"), ("$", "$")):
        close = answer.rfind(end)
        start = answer.rfind(begin, 0, max(close, 0))
        if 0 <= start < close and answer[start + len(begin) : close].strip():
            found.append((close + len(end), len(begin), answer[start + len(begin) : close]))
    if found:
        yield max(found)[2]


#: where the answer may stand, by name; each gives what it finds, the likeliest first
RULES: Mapping[str, Rule] = {
    "final": _final,  # what follows the last "Final Answer:" (s1)
    "boxed": _boxed,  # the last \boxed{} that is closed (MATH)
    "hashes": _hashes,  # what follows "####" (GSM8K, Chain of Draft)
    "said": _each(_SAID),  # what follows the last "answer is" (chain-of-thought prompts, BBH)
    "labelled": _each(_LABELLED),  # what follows "A:" at the beginning of a line
    "alone": _alone,  # the only word there is (direct answers)
    "letter": _each(_BRACKETED),  # the last letter in brackets (multiple choice)
    "formula": _formula,  # the last formula
}
_GENERAL = ("boxed", "hashes", "said", "labelled", "alone")


def _choice(found: str) -> str:
    """The letter that an answer begins with, if it is one: "A right triangle" is none."""
    match = _LETTER.match(_WRAPPED.sub(r"\1", found))
    return match[1] if match else ""


def _with_digit(found: str) -> str:
    return found if re.search(r"\d", found) else ""


_KINDS: Mapping[str, Callable[[str], str]] = {"choice": _choice, "numeric": _with_digit}


def _unboxed(line: str) -> str:
    """What a line says, or the box in it."""
    boxed = last_boxed(line)
    return line if boxed is None else boxed


def _undressed(text: str) -> str:
    """Without the marks of emphasis and of formulas around it."""
    before = None
    for _ in range(8):  # what is dressed more often is no answer
        if text == before:
            break
        before, text = text, text.strip().strip("*").lstrip("#").strip()
        for begin, end in (("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
            inner = text.strip("$") if begin == "$" else text.removeprefix(begin).removesuffix(end)
            if begin not in inner and end not in inner:
                text = inner.strip()
    return text


def last_boxed(text: str) -> str | None:
    """What stands in the last \\boxed{} that is closed."""
    opened, last = list[int | None](), (-1, -1)
    for match in _BRACES.finditer(text):
        if match[0].endswith("{"):
            opened.append(match.end() if len(match[0]) > 1 else None)
        elif match[0] == "}" and opened:
            start = opened.pop()
            if start is not None and start > last[0]:
                last = start, match.start()
    return text[last[0] : last[1]] if last[0] >= 0 else None
