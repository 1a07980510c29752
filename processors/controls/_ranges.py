"""Regular expressions for the numbers of a range."""

from __future__ import annotations

from collections.abc import Callable

DIGITS = 15  # of a whole number without a bound on that side; doubles hold as many


def whole_numbers(least: int | None, most: int | None) -> str:
    """A pattern for the whole numbers from `least` to `most`, as JSON writes them; None for no bound.

    Raises:
        ValueError: if there are none.

    >>> whole_numbers(7, 12), whole_numbers(-3, 2)
    ('(([7-9]|1[0-2]))', '(-([1-3])|[0-2])')
    """
    return _between(least, most, _positive, smallest=1)


def _between(least: int | None, most: int | None, part: Callable[[int, int], str], smallest: int) -> str:
    """A pattern for the numbers from `least` to `most`, each sign by itself.

    Args:
        least, most: the bounds; None for none.
        part: a pattern for the numbers between two that are not negative.
        smallest: the smallest number behind a minus sign: 1 of whole numbers, since JSON writes no -0; 0 of others.

    Raises:
        ValueError: if there are none.
    """
    far = 10**DIGITS - 1
    low, high = -far if least is None else least, far if most is None else most
    if low > high:
        raise ValueError(f"there is no number from {low} to {high}")
    parts = [f"-({part(max(smallest, -high), -low)})"] if low < 0 else []
    parts += [part(max(0, low), high)] if high >= 0 else []
    return f"({'|'.join(parts)})"


def _positive(low: int, high: int) -> str:
    """A pattern for the whole numbers from `low` to `high`, neither negative."""
    parts = []
    for length in range(len(str(low)), len(str(high)) + 1):
        first = max(low, 0 if length == 1 else 10 ** (length - 1))
        parts += _same_length(str(first), str(min(high, 10**length - 1)))
    return parts[0] if len(parts) == 1 else f"({'|'.join(parts)})" if low else "|".join(parts)


def _same_length(low: str, high: str) -> list[str]:
    """Patterns for the numbers between two of the same length."""
    if not low:
        return [""]
    if low == high:
        return [low]
    first, last = low[0], high[0]
    if first == last:
        return [first + rest for rest in _same_length(low[1:], high[1:])]
    out, rest = [], len(low) - 1
    if low[1:] != "0" * rest:
        out += [first + part for part in _same_length(low[1:], "9" * rest)]
        first = chr(ord(first) + 1)
    ends = high[1:] != "9" * rest
    middle = chr(ord(last) - 1) if ends else last
    if first <= middle:
        any_ = "" if not rest else "[0-9]" if rest == 1 else f"[0-9]{{{rest}}}"
        out.append((first if first == middle else f"[{first}-{middle}]") + any_)
    if ends:
        out += [last + part for part in _same_length("0" * rest, high[1:])]
    return out


def numbers(least: int | None, most: int | None) -> str:
    """A pattern for the numbers from `least` to `most`, with decimals, without exponents; None for no bound.

    >>> numbers(0, 1)
    '(0(\\\\.[0-9]+)?|1(\\\\.0+)?)'
    """
    return _between(least, most, _from_zero, smallest=0)


def _from_zero(low: int, high: int) -> str:
    inside = f"{_grouped(_positive(low, high - 1))}(\\.[0-9]+)?|" if low < high else ""
    return f"{inside}{high}(\\.0+)?"


def _grouped(pattern: str) -> str:
    return f"({pattern})" if "|" in pattern and not pattern.startswith("(") else pattern
