"""The exceptions of thinkpace. Each subclasses the builtin that a caller would catch anyway."""

from __future__ import annotations

import os.path


class NoLegalToken(ValueError):
    """No token is left that every control allows; the message names the controls that collide."""


class UnsupportedControl(ValueError):
    """A control cannot work here (marker not in the vocabulary, a path that ignores processors); says what to do.

    Args:
        message: what is wrong, and what to do.
        field: the argument that has to be changed, where it is one: "max_new_tokens", "temperature", "markers",
            "template_arguments", ...; None where it is the control itself. Programs read this, never the message.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field

    def __reduce__(self) -> tuple[type[UnsupportedControl], tuple[str, str | None]]:
        return type(self), (str(self), self.field)


class MissingExtra(ImportError):
    """An optional part is not installed; the message holds the command that installs it.

    Args:
        needed_for: what was asked for.
        extra: the extra that holds it, a key of `optional-dependencies`.
    """

    def __init__(self, needed_for: str, extra: str) -> None:
        super().__init__(f"{needed_for} needs an optional part: {_command(extra)}")
        self.needed_for, self.extra = needed_for, extra

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        return type(self), (self.needed_for, self.extra)


def _command(extra: str) -> str:
    """The command that installs an extra: from where this thinkpace was installed, since no index has it."""
    source, editable = _installed_from()
    constraints = os.path.join(source, "constraints.txt")
    tested = f"-c '{constraints}' " if os.path.isfile(constraints) else ""
    return f"pip install {tested}{'-e ' if editable else ''}'{source}[{extra}]'"


def _installed_from() -> tuple[str, bool]:
    """The folder or file that this package was installed from, and whether the installation is editable.

    "thinkpace" where that is not known, say for an installation from an index.
    """
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        told = json.loads(distribution("thinkpace").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        told = {}
    url = urlsplit(told.get("url", ""))
    if url.scheme == "file" and os.path.exists(url2pathname(url.path)):
        return url2pathname(url.path), bool(told.get("dir_info", {}).get("editable"))
    checkout = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if os.path.isfile(os.path.join(checkout, "pyproject.toml")):
        return checkout, False
    return "thinkpace", False
