"""Where the final answer stands in a text: the answer part first, then the place its task's rule names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

FINAL = "Final Answer:"
#: (answer part, another text for "final") -> what stands there
Rule = Callable[[str, str | None], str | None]
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
        raise ValueError(f"rules must be some of {', '.join(RULES)}, got {', '.join(bad) or 'none'}")
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


def extract(answer: str, final: str | None = None, rules: Sequence[str] = ()) -> str | None:
    """The final answer in an answer part, without the dressing of Markdown and LaTeX; None if there is none.

    It is what the first of the rules finds that finds anything; with "letter" among them, the first that finds a
    letter.

    Args:
        answer: the answer part of a completion.
        final: another text that the answer may follow, such as one that a control writes; for the rule "final".
        rules: names of `RULES`. Default: as in `rules_for("same")`.

    >>> extract("So it is 4.\\n**Final Answer:** 4"), extract(r"thus $\\boxed{\\frac{1}{2}}$"), extract("I do not know")
    ('4', '\\\\frac{1}{2}', None)
    >>> extract("5 * 3 = 15 #### 15", rules=("boxed",)), extract("The answer is (B).", rules=rules_for("choice"))
    (None, 'B')
    """
    wants_letter, otherwise = "letter" in rules, None
    for rule in rules or rules_for("same"):
        found = RULES[rule](answer, final)
        if found is None:
            continue
        if not wants_letter:
            return found
        if letter := _LETTER.match(found):
            return letter[1]
        otherwise = otherwise or found
    return otherwise


def _final(answer: str, final: str | None) -> str | None:
    marks = "|".join(re.escape(mark.rstrip(": ")) for mark in dict.fromkeys((FINAL, final or FINAL)))
    lines = reversed(re.findall(rf"(?:{marks})[*\s]*:?(.*)", answer, re.IGNORECASE))
    return next((found for found in map(_unboxed, lines) if found), None)


def _boxed(answer: str, _final: str | None) -> str | None:
    boxed = last_boxed(answer)
    return None if boxed is None else _undressed(boxed)


def _hashes(answer: str, _final: str | None) -> str | None:
    _, mark, rest = answer.rpartition("####")
    line, _, after = rest.strip().partition("\n")
    return _unboxed(line) if mark and last_boxed(after) is None else None  # a box after it: that was a heading


def _last(pattern: re.Pattern[str]) -> Rule:
    """The rule that takes the last match that holds anything, by its only group that holds anything."""

    def rule(answer: str, _final: str | None) -> str | None:
        found = (_undressed("".join(match.groups(""))) for match in reversed([*pattern.finditer(answer)]))
        return next((one for one in found if one), None)

    return rule


def _alone(answer: str, _final: str | None) -> str | None:
    found = _undressed(answer)
    return None if found is None or re.search(r"\s|\\boxed|####|:$", found) else found


#: where the answer stands, by name
RULES: Mapping[str, Rule] = {
    "final": _final,  # what follows the last "Final Answer:" on its line (s1)
    "boxed": _boxed,  # the last \boxed{} that is closed (MATH)
    "hashes": _hashes,  # the line after the last "####" (GSM8K, Chain of Draft; they take the first)
    "said": _last(_SAID),  # what follows the last "answer is" (chain-of-thought prompts, BBH)
    "labelled": _last(_LABELLED),  # what follows "A:" at the beginning of a line
    "alone": _alone,  # the only word there is (direct answers)
    "letter": _last(_BRACKETED),  # the last letter in brackets (multiple choice)
    "formula": _last(_FORMULA),  # the last formula
}
_GENERAL = ("boxed", "hashes", "said", "labelled", "alone")


def _unboxed(line: str) -> str | None:
    """What a line says, or the box in it."""
    boxed = last_boxed(line)
    return _undressed(line if boxed is None else boxed)


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
