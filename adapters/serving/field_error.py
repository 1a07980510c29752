"""The error of a request: which field is wrong, and what to do."""

from __future__ import annotations


class FieldError(ValueError):
    """A field of a request is invalid or not supported.

    Args:
        field: its name.
        message: what is wrong, and what to do.
        code: machine-readable error code.
    """

    def __init__(self, field: str | None, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.code = code
