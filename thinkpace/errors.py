"""The exceptions of thinkpace. Each subclasses the builtin exception that callers would expect."""

from __future__ import annotations

import os.path
from collections.abc import Iterable


class NoLegalToken(ValueError):
    """No token is allowed by all controls; the message names the controls in conflict."""


class UnsupportedControl(ValueError):
    """A control cannot work here (marker not in the vocabulary, a path that ignores processors); says what to do.

    Args:
        message: what is wrong, and what to do.
        field: the argument to change: "max_new_tokens", "temperature", "markers", "template_arguments", ...; None if
            it is the control itself. Programs should read this, never parse the message.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field

    def __reduce__(self) -> tuple[type[UnsupportedControl], tuple[str, str | None]]:
        return type(self), (str(self), self.field)


class MissingExtra(ImportError):
    """An optional dependency is not installed; the message contains the command that installs it.

    Args:
        needed_for: the feature that needs it.
        extra: the extra that provides it, a key of `optional-dependencies`.
    """

    def __init__(self, needed_for: str, extra: str) -> None:
        super().__init__(f"{needed_for} needs an optional part: {_command(extra)}")
        self.needed_for, self.extra = needed_for, extra

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        return type(self), (self.needed_for, self.extra)


def _command(extra: str) -> str:
    """The command that installs an extra, from the source of this installation: no package index has thinkpace."""
    source, editable = _installed_from()
    constraints = os.path.join(source, "constraints.txt")
    tested = f"-c '{constraints}' " if os.path.isfile(constraints) else ""
    return f"pip install {tested}{'-e ' if editable else ''}'{source}[{extra}]'"


def _installed_from() -> tuple[str, bool]:
    """The folder or file that this package was installed from, and whether the installation is editable.

    "thinkpace" if that is unknown, for example for an installation from a package index.
    """
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        origin = json.loads(distribution("thinkpace").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        origin = {}
    url = urlsplit(origin.get("url", ""))
    if url.scheme == "file" and os.path.exists(url2pathname(url.path)):
        return url2pathname(url.path), bool(origin.get("dir_info", {}).get("editable"))
    checkout = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if os.path.isfile(os.path.join(checkout, "pyproject.toml")):
        return checkout, False
    return "thinkpace", False


def suggestion(name: str, known: Iterable[str]) -> str:
    """What to append to an error about an unknown name: the known one that is most like it; empty if none is.

    >>> suggestion("bugdets", ["budgets", "waits"])
    "; did you mean 'budgets'?"
    """
    from difflib import get_close_matches  # only errors need it

    folded = {one.lower(): one for one in known}
    close = get_close_matches(name.lower(), folded, 1, 0.7)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""
