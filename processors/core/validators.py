"""Checks of constructor arguments of controls, with uniform error messages."""

from __future__ import annotations

from collections.abc import Iterable

TEXTS = 1_000  # most texts of a control
CHARACTERS = 10_000  # most characters of a control's texts together: they become an automaton


def checked_count(name: str, value: object, least: int = 0) -> int:
    """Check for a whole number of at least `least`, and return it.

    Raises:
        TypeError, ValueError: otherwise; `True` and `False` are refused.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be >= {least}, got {value}")
    return value


def checked_number(name: str, value: object, least: float, most: float) -> float:
    """Check for a number in [least, most], and return it as a float.

    Raises:
        TypeError, ValueError: otherwise; NaN is refused.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be between {least:g} and {most:g}, got {value!r}")
    return float(value)


def checked_text(name: str, value: object) -> None:
    """Check for a text that is not empty, or None.

    Raises:
        TypeError, ValueError: otherwise.
    """
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a text or None, got {value!r}")
    if value == "":
        raise ValueError(f"{name} must not be empty; pass None to write nothing")
    if isinstance(value, str):
        if len(value) > CHARACTERS:
            raise ValueError(f"{name} may have {CHARACTERS:,} characters at most")
        _check_encodes(name, value)


def _check_encodes(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds half a character: {text!r}") from None


def checked_limit(value: object, name: str = "max_tokens") -> int | None:
    """Check a limit, and return it; -1 means None (no limit)."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value == -1):
        return None
    if isinstance(value, int) and value < -1:
        raise ValueError(f"{name} must be >= 0, or -1 or None for no limit, got {value}")
    return checked_count(name, value)


def checked_texts(name: str, values: object) -> tuple[str, ...]:
    """Check for at least one text, none of them empty, and return them without duplicates; a single text is accepted.

    Raises:
        TypeError, ValueError: otherwise; also for more than `TEXTS` texts or `CHARACTERS` characters in all.
    """
    texts = (values,) if isinstance(values, str) else values
    if not isinstance(texts, list | tuple):
        raise TypeError(f"{name} must be texts, as a list or tuple, got {values!r}")
    items = tuple(texts)
    for text in items:
        if not isinstance(text, str):
            raise TypeError(f"{name} must be texts, got {text!r} among them")
        if not text:
            raise ValueError(f"{name} must not hold an empty text")
        _check_encodes(name, text)
    if not items:
        raise ValueError(f"{name} must hold at least one text")
    if len(items) > TEXTS or sum(map(len, items)) > CHARACTERS:
        raise ValueError(f"{name} may hold {TEXTS:,} texts and {CHARACTERS:,} characters at most")
    return tuple(dict.fromkeys(items))


def checked_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Check that `value` is one of `choices`.

    Raises:
        ValueError: otherwise.
    """
    options = tuple(choices)
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(options)}, got {value!r}")
