"""The exceptions of thinkpace. Each subclasses the builtin that a caller would catch anyway."""

from __future__ import annotations


class NoLegalToken(ValueError):
    """No token is left that every control allows; the message names the controls that collide."""


class UnsupportedControl(ValueError):
    """A control cannot work here (marker not in the vocabulary, a path that ignores processors); says what to do."""


class MissingExtra(ImportError):
    """An optional part is not installed; the message holds the command that installs it."""

    def __init__(self, needed_for: str, extra: str) -> None:
        super().__init__(f"{needed_for} needs an optional part: pip install 'thinkpace[{extra}]'")
