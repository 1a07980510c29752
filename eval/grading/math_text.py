"""Rewrite answers into LaTeX that math-verify reads rightly: symbols, mixed numbers, repeating decimals, units."""

from __future__ import annotations

import re

_SYMBOLS = {
    "π": r"\pi ", "∞": r"\infty ", "×": r"\times ", "·": r"\cdot ", "÷": r"\div ", "−": "-", "≤": r"\le ", "≥": r"\ge ",
    "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}",
    "°": r"^\circ ",
}  # fmt: skip
_RULES = (
    (re.compile(r"√\s*(?:\(([^()]*)\)|\{([^{}]*)\}|([A-Za-z0-9.]+))"), lambda m: rf"\sqrt{{{m[1] or m[2] or m[3]}}}"),
    (re.compile(r"\\sqrt\s*\(([^()]*)\)"), r"\\sqrt{\1}"),
    (re.compile(r"\\(?:mathrm|text|operatorname)\s*(?:\{\s*([ei])\s*\}|\s([ei])\b)"), lambda m: f"{{{m[1] or m[2]}}}"),
    (re.compile(r"(?<![A-Za-z\\])pi(?![A-Za-z])"), r"\\pi "),
    (re.compile(r"(?<![\w.\\])(\d+(?:\.\d+)?)[eE]([+-]?\d+)(?!\w)"), r"\1 \\times 10^{\2}"),
    (re.compile(r"^(-?)(\d+)\s+(\d+)/(\d+)$"), r"\1(\2+\\frac{\3}{\4})"),
    (re.compile(r"(\d*)\.(\d*)\\overline\s*\{(\d+)\}"), lambda m: _repeating(m[1], m[2], m[3])),
)
_LETTER = re.compile(r"^\s*(?:\\(?:text|textbf|mathrm|mathbf)\s*\{)\s*\(?([A-Z])\)?[.:]?\s*\}")
#: units whose values differ by a factor, and other spellings of them
_UNITS = {
    name: unit
    for unit, names in {
        "mm": "mm millimeter millimetre", "cm": "cm centimeter centimetre", "m": "m meter metre",
        "km": "km kilometer kilometre",
        "in": "in inch inche", "ft": "ft feet foot", "yd": "yd yard", "mi": "mi mile",
        "mg": "mg milligram", "g": "g gram", "kg": "kg kilogram", "lb": "lb pound", "oz": "oz ounce",
        "s": "s sec second", "min": "min minute", "h": "h hr hour", "d": "d day", "wk": "wk week", "yr": "yr year",
        "ml": "ml milliliter millilitre", "l": "l liter litre", "cent": "cent", "dollar": "dollar",
        "degree": "degree", "radian": "rad radian",
    }.items()
    for name in names.split()
}  # fmt: skip
_UNIT = re.compile(r"\\(?:text|mathrm|mbox)\s*\{\s*([A-Za-z]+)\.?\s*\}|(?<=\d)\s+([A-Za-z]+)\.?$")


def rewritten(text: str) -> str:
    """The answer with what math-verify 0.9 misreads written in another way.

    >>> rewritten("288pi"), rewritten("11 5/6"), rewritten("1e3"), rewritten("√2")
    ('288\\\\pi ', '(11+\\\\frac{5}{6})', '1 \\\\times 10^{3}', '\\\\sqrt{2}')
    """
    text = text.strip()
    for symbol, latex in _SYMBOLS.items():
        text = text.replace(symbol, latex)
    for pattern, into in _RULES:
        text = pattern.sub(into, text)
    return text


def _repeating(whole: str, before: str, repeated: str) -> str:
    """A repeating decimal as a fraction."""
    scale = 10 ** len(before)
    nines = (10 ** len(repeated) - 1) * scale
    return rf"\frac{{{int(whole + before + repeated) - int(whole + before or '0')}}}{{{nines}}}"


def choice_letter(text: str) -> str | None:
    r"""The letter of a choice in markup at the start of an answer, as in `\textbf{(B)}\ 12`; None without one."""
    match = _LETTER.match(text)
    return match[1] if match else None


def unit(text: str) -> str | None:
    """The unit of an answer by its short name; None if there is none that is known here.

    >>> unit(r"5\\text{ cm}"), unit("5 meters"), unit("5")
    ('cm', 'm', None)
    """
    for match in _UNIT.finditer(text):
        name = (match[1] or match[2]).lower()
        if found := _UNITS.get(name) or _UNITS.get(name.removesuffix("s")):
            return found
    return None
