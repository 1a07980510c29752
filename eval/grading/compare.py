"""Whether two answers are the same: as text, as numbers, as choices; as mathematics see `math_grader`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|[+-]?\.\d+")

#: a number in these is not what they are: fractions, roots, powers
_EXPRESSION = re.compile(r"\\[dt]?frac|\\sqrt|[\^√½¼¾]")


def exact(found: str, known: str) -> bool:
    """The same text but for case, white space and a final full stop.

    >>> exact("Paris.", "paris"), exact("12", "12.0")
    (True, False)
    """
    return _plain(found) == _plain(known)


def same(found: str, known: str) -> bool:
    """The same number, or the same text but for case, white space and a final full stop.

    >>> same("1,234.0", "1234"), same("Paris.", "paris"), same("-5", "5")
    (True, True, False)
    """
    numbers = _whole_number(found), _whole_number(known)
    if numbers[0] is not None and numbers[1] is not None:
        return numbers[0] == numbers[1]
    return exact(found, known)


def numeric(found: str, known: str) -> bool:
    """The same number; of an answer with words or a unit around it, the only number that it holds.

    Raises:
        ValueError: if the known answer is no number.

    >>> numeric("$1,234 in all", "1234"), numeric("1 or 2", "1")
    (True, False)
    """
    wanted = number(known)
    if wanted is None:
        raise ValueError(f"the known answer {known!r} is no number")
    return number(found) == wanted


def number(text: str) -> Decimal | None:
    """The only number in a text; None if it holds none, or several."""
    whole = _whole_number(text)
    if whole is not None:
        return whole
    if _EXPRESSION.search(text.replace("^\\circ", "").replace("^{\\circ}", "")):
        return None
    found = _NUMBER.findall(_signed(text.replace("\\!", "").replace("\\,", "").replace("{,}", ",")))
    return Decimal(found[0].replace(",", "")) if len(found) == 1 else None


def choice(found: str, known: str) -> bool:
    """The same letter, in brackets or not.

    Raises:
        ValueError: if the known answer is no letter.

    >>> choice("B", "(B)"), choice("A", "(B)")
    (True, False)
    """
    wanted = letter(known)
    if wanted is None:
        raise ValueError(f"the known answer {known!r} is no letter")
    return letter(found) == wanted


def letter(text: str) -> str | None:
    """The letter that a choice begins with; None if it begins with none."""
    match = re.match(r"^\W*([A-Za-z])(?![A-Za-z0-9])", text)
    return match[1].upper() if match else None


def _plain(text: str) -> str:
    return " ".join(text.split()).rstrip(".").strip("$").casefold()


def _signed(text: str) -> str:
    """With the minus of Unicode as one, and a sign before the dollar's as the number's."""
    return text.replace("\u2212", "-").replace("\\$", "$").replace("-$", "-")


def _whole_number(text: str) -> Decimal | None:
    cleaned = _signed(text).strip().rstrip(".").strip("$").strip()
    if not _NUMBER.fullmatch(cleaned):
        return None
    return Decimal(cleaned.replace(",", ""))


#: by name; "math" is not among them, since it needs processes of its own
GRADERS: Mapping[str, Callable[[str, str], bool]] = {"same": same, "exact": exact, "numeric": numeric, "choice": choice}


def known_answer(known: str) -> str:
    """The answer in a worked solution, as data sets have it: after "####", or after "A:" on the last line.

    >>> known_answer("2 + 2 = 4\\n#### 4"), known_answer("7")
    ('4', '7')
    """
    if "####" in known:
        return known.rsplit("####", 1)[1].strip()
    last = known.strip().rpartition("\n")[2]
    return last.removeprefix("A:").strip() if last.startswith("A:") else known.strip()
