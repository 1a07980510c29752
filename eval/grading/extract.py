"""The final answer in an answer part: rules are tried in order, and the first that finds one decides."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from thinkpace.errors import suggestion
from thinkpace.eval.grading.rules import GENERAL, RULES, undressed

#: "A" and "I" before a lower-case word are words, not choices
_LETTER = re.compile(
    r"^[^A-Za-z0-9]*(?:(?:[Oo]ption|[Cc]hoice)\b[^A-Za-z0-9]*)?([A-Z])(?![A-Za-z0-9])(?!(?<=[AI])\s+[a-z])"
)
_WRAPPED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|boldsymbol)\s*\{([^{}]*)\}")
_CONTENT = re.compile(r"[^\W_]|[∞√∅°%½⅓⅔¼¾]")


class Found(NamedTuple):
    """An answer, and the rule that found it."""

    answer: str
    rule: str


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
        hint = suggestion(bad[0], RULES) if bad else ""
        raise ValueError(f"rules must be some of {', '.join(RULES)}, got {', '.join(map(repr, bad)) or 'none'}{hint}")
    if len(set(names)) < len(names):
        raise ValueError(f"a rule is given twice: {', '.join(names)}")


def rules_for(grader: str, official: str | None = None) -> tuple[str, ...]:
    """All rules for a grader, in the order to try them: what a control wrote, the task's official rule, the others.

    Args:
        grader: name of the grader; "choice" adds the rules for letters, "math" the rule for formulas.
        official: the rule of the task's authors; None if the task has none.

    >>> rules_for("numeric", "hashes")
    ('written', 'hashes', 'final', 'boxed', 'minerva', 'tagged', 'said', 'labelled', 'alone')
    """
    last = {"choice": ("option", "lettered", "letter"), "math": ("formula",)}.get(grader, ())
    first = () if official is None else (official,)
    return tuple(dict.fromkeys(("written", *first, *GENERAL, *last)))


def extract(
    answer: str, written: str | None = None, rules: Sequence[str] = (), *, grader: str = "same"
) -> Found | None:
    """The final answer in an answer part, without Markdown and LaTeX markup around it; None if there is none.

    The rules are tried in order. The first candidate of the grader's kind wins: for "choice" a letter, for "numeric" a
    text with a digit, otherwise any text with a letter, a digit or a symbol that has a value. Without such a candidate,
    the first one with content is the answer.

    Args:
        answer: the answer part of a completion.
        written: what follows a text that a control wrote into it; for the rule "written".
        rules: names of `RULES`. Default: `rules_for(grader)`.
        grader: name of the grader.

    >>> extract("So it is 4.\\n**Final Answer:** 4"), extract("I do not know")
    (Found(answer='4', rule='final'), None)
    >>> extract("5 * 3 = 15 #### 15", rules=("boxed",)), extract("The answer is option (B).", grader="choice")
    (None, Found(answer='B', rule='said'))
    """
    of_kind, otherwise = _KINDS.get(grader, str), None
    for rule in rules or rules_for(grader):
        for candidate in candidates(answer, written, rule):
            if wanted := of_kind(candidate):
                return Found(wanted, rule)
            otherwise = otherwise or Found(candidate, rule)
    return otherwise


def candidates(answer: str, written: str | None, rule: str) -> list[str]:
    """What a rule finds, the likeliest first, without markup; finds without content are left out."""
    found = map(undressed, RULES[rule](answer, written))
    return [text for text in found if _CONTENT.search(text) and not text.endswith((":", "："))]


def _choice(answer: str) -> str:
    """The choice letter at the start of an answer; empty if there is none, as in "A right triangle"."""
    match = _LETTER.match(_WRAPPED.sub(r"\1", answer))
    return match[1] if match else ""


def _with_digit(answer: str) -> str:
    return answer if re.search(r"\d", answer) else ""


_KINDS: Mapping[str, Callable[[str], str]] = {"choice": _choice, "numeric": _with_digit}
