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
    try:
        base.mkdir(mode=0o700, exist_ok=True)
        foreign = base.is_symlink() or (hasattr(os, "getuid") and base.stat().st_uid != os.getuid())
    except FileExistsError:
        foreign = True
    if foreign:
        raise PermissionError(f"{base} is no folder of this user: remove it")
    return base
