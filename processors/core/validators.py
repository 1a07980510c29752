"""Checks of what people pass to controls: made when the control is built, in one wording."""

from __future__ import annotations

from collections.abc import Iterable


def checked_count(name: str, value: object, least: int = 0) -> int:
    """A whole number of at least `least`.

    Raises:
        TypeError, ValueError: otherwise; `True` is no number here.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be >= {least}, got {value}")
    return value


def checked_number(name: str, value: object, least: float, most: float) -> float:
    """A number in [least, most].

    Raises:
        TypeError, ValueError: otherwise; NaN is in no range.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be between {least:g} and {most:g}, got {value!r}")
    return float(value)


def checked_text(name: str, value: object) -> None:
    """A text that is not empty, or None.

    Raises:
        TypeError, ValueError: otherwise.
    """
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a text or None, got {value!r}")
    if value == "":
        raise ValueError(f"{name} must not be empty; pass None to write nothing")
    if isinstance(value, str):
        _check_encodes(name, value)


def _check_encodes(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds half a character: {text!r}") from None


def checked_limit(value: object, name: str = "max_tokens") -> int | None:
    """A limit, with -1 read as None."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value == -1):
        return None
    if isinstance(value, int) and value < -1:
        raise ValueError(f"{name} must be >= 0, or -1 or None for no limit, got {value}")
    return checked_count(name, value)


def checked_texts(name: str, values: object) -> tuple[str, ...]:
    """At least one text, none of them empty; a single text counts as one.

    Raises:
        TypeError, ValueError: otherwise.
    """
    texts = (values,) if isinstance(values, str) else values
    if not isinstance(texts, list | tuple):
        raise TypeError(f"{name} must be texts, as a list or tuple, got {values!r}")
    found = tuple(texts)
    for text in found:
        if not isinstance(text, str):
            raise TypeError(f"{name} must be texts, got {text!r} among them")
        if not text:
            raise ValueError(f"{name} must not hold an empty text")
        _check_encodes(name, text)
    if not found:
        raise ValueError(f"{name} must hold at least one text")
    return tuple(dict.fromkeys(found))


def checked_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """One of some words.

    Raises:
        ValueError: otherwise.
    """
    known = tuple(choices)
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
