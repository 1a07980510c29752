"""Compare two answers as text, as numbers or as choices; `grading.math` compares them as mathematics."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction

_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|[+-]?\.\d+")
_VALUE = re.compile(rf"({_NUMBER.pattern})([eE][+-]?\d{{1,3}}(?!\w))?(?:\s*/\s*({_NUMBER.pattern}))?")

#: expressions whose value is not the number in them: fractions of LaTeX, roots, powers
_EXPRESSION = re.compile(r"\\[dt]?frac|\\sqrt|[\^√½¼¾]")


def exact(found: str, known: str) -> bool:
    """Whether the texts are equal, ignoring case, white space and a final full stop.

    >>> exact("Paris.", "paris"), exact("12", "12.0")
    (True, False)
    """
    return _plain(found) == _plain(known)


def same(found: str, known: str) -> bool:
    """Whether the numbers are equal; if either is not a number, whether `exact` holds.

    >>> same("1,234.0", "1234"), same("Paris.", "paris"), same("-5", "5")
    (True, True, False)
    """
    numbers = _whole_number(found), _whole_number(known)
    if numbers[0] is not None and numbers[1] is not None:
        return numbers[0] == numbers[1]
    return exact(found, known)


def numeric(found: str, known: str) -> bool:
    """Whether the numbers are equal. An answer with words or a unit counts if it contains exactly one number.

    Raises:
        ValueError: if the known answer is not a number.

    >>> numeric("$1,234 in all", "1234"), numeric("1 or 2", "1")
    (True, False)
    """
    wanted = number(known)
    if wanted is None:
        raise ValueError(f"the known answer {known!r} is no number")
    return number(found) == wanted


def number(text: str) -> Fraction | None:
    """The only number in a text, behind its last "="; None if there is none, or several, or a root or power.

    Fractions such as 1/2 and scientific notation such as 1.8e1 are one number.

    >>> number("9 * 2 = 18"), number("1/2 cup"), number("3 of 4")
    (Fraction(18, 1), Fraction(1, 2), None)
    """
    whole = _whole_number(text)
    if whole is not None:
        return Fraction(whole)
    text = text.rpartition("=")[2]
    if _EXPRESSION.search(text.replace("^\\circ", "").replace("^{\\circ}", "")):
        return None
    matches = _VALUE.findall(_signed(text.replace("\\!", "").replace("\\,", "").replace("{,}", ",")))
    if len(matches) != 1:
        return None
    above, power, below = matches[0]
    if below and not Decimal(below.replace(",", "")):
        return None
    return Fraction(above.replace(",", "") + power) / Fraction(below.replace(",", "") or "1")


def choice(found: str, known: str) -> bool:
    """Whether the choice letters are equal, in brackets or not.

    Raises:
        ValueError: if the known answer is not a letter.

    >>> choice("B", "(B)"), choice("A", "(B)")
    (True, False)
    """
    wanted = letter(known)
    if wanted is None:
        raise ValueError(f"the known answer {known!r} is no letter")
    return letter(found) == wanted


def letter(text: str) -> str | None:
    """The single letter at the start of a choice; None if there is none."""
    match = re.match(r"^\W*([A-Za-z])(?![A-Za-z0-9])", text)
    return match[1].upper() if match else None


def _plain(text: str) -> str:
    return " ".join(text.split()).rstrip(".").strip("$").casefold()


def _signed(text: str) -> str:
    """Replace the Unicode minus by "-", and move a minus before "$" to the number."""
    return text.replace("\u2212", "-").replace("\\$", "$").replace("-$", "-")


def _whole_number(text: str) -> Decimal | None:
    cleaned = _signed(text).strip().rstrip(".").strip("$").strip()
    if not _NUMBER.fullmatch(cleaned):
        return None
    return Decimal(cleaned.replace(",", ""))


#: graders by name; "math" is missing, since it needs worker processes
GRADERS: Mapping[str, Callable[[str, str], bool]] = {"same": same, "exact": exact, "numeric": numeric, "choice": choice}


def known_answer(known: str) -> str:
    """The answer in a data set's worked solution: after "####", or after "A:" on the last line; else the whole text.

    >>> known_answer("2 + 2 = 4\\n#### 4"), known_answer("7")
    ('4', '7')
    """
    if "####" in known:
        return known.rsplit("####", 1)[1].strip()
    last = known.strip().rpartition("\n")[2]
    return last.removeprefix("A:").strip() if last.startswith("A:") else known.strip()
