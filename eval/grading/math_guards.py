"""Exact checks of what math-verify decides by rounding, or does not decide. Expressions are sympy's."""

from __future__ import annotations

import re
from typing import Any

import sympy
from sympy.logic.boolalg import Boolean

_DECIMAL = re.compile(r"-?\d*\.(\d+)")
_NEGATIVE = (sympy.Rational(-1, 2), sympy.Integer(-2), sympy.Rational(-7, 3))


def same_number(found: Any, known: Any, text: str) -> bool | None:
    """Whether two numbers are equal: exactly, or to the digits of a known answer that is a decimal.

    Args:
        found, known: parsed answers.
        text: the known answer as it is written.

    Returns:
        None if one of them is no number.
    """
    if not all(isinstance(side, sympy.Expr) and not side.free_symbols for side in (found, known)):
        return None
    one, other = (_exact(side.doit()) for side in (found, known))
    difference = one - other
    if difference == 0:
        return True
    if match := _DECIMAL.fullmatch(text.strip().strip("$")):
        return bool(abs(difference) <= sympy.Rational(1, 2 * 10 ** len(match[1])))
    if one.is_rational and other.is_rational:
        return False
    scale = abs(sympy.N(other, 40))
    return bool(abs(sympy.N(difference, 40)) <= sympy.Float("1e-25") * (scale or 1))


def _exact(number: Any) -> Any:
    """The number with its decimals as fractions."""
    return number.replace(lambda part: part.is_Float, lambda part: sympy.Rational(str(part)))


def same_set(found: Any, known: Any) -> bool:
    """Whether an inequality and a set say the same."""
    sides = []
    for side in (found, known):
        if isinstance(side, Boolean) and len(side.free_symbols) == 1:
            sides.append(side.as_set())
        elif isinstance(side, sympy.Set):
            sides.append(side)
        else:
            return False
    return bool(sides[0] == sides[1])


def same_function(found: Any, known: Any) -> bool:
    """Whether two expressions in the same variables are equal wherever they are real, and real at the same places."""
    if not all(isinstance(side, sympy.Expr) for side in (found, known)):
        return False
    symbols = found.free_symbols
    if not symbols or symbols != known.free_symbols or len(symbols) > 2:
        return False
    positive = {symbol: sympy.Symbol(f"{symbol.name}_", positive=True) for symbol in symbols}
    if sympy.simplify(found.subs(positive) - known.subs(positive)) != 0:
        return False
    for value in _NEGATIVE:
        one, other = (sympy.N(side.subs(dict.fromkeys(symbols, value))) for side in (found, known))
        if bool(one.is_real) != bool(other.is_real) or (one.is_real and abs(one - other) > 1e-9):
            return False
    return True
