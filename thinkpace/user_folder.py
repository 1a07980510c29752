"""The folder of a user for files that processes on one machine share."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def user_folder(*parts: str) -> Path:
    """A path in the folder. Nothing is created."""
    owner = os.getuid() if hasattr(os, "getuid") else 0
    return Path(tempfile.gettempdir()).joinpath(f"thinkpace-{owner}", *parts)


def open_user_folder() -> Path:
    """The folder, created if it does not exist. Other users can neither read nor write it.

    Raises:
        PermissionError: if it belongs to another user.
    """
    base = user_folder()
    base.mkdir(mode=0o700, exist_ok=True)
    if base.is_symlink() or (hasattr(os, "getuid") and base.stat().st_uid != os.getuid()):
        raise PermissionError(f"{base} belongs to another user: remove it")
    return base
