"""Automata that one process built for another: files in the user's folder.

vLLM checks a request in its frontend and applies it in a worker. The frontend builds the automaton of a pattern and
leaves it here, and the worker, whose time is that of all requests, reads it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thinkpace.user_folder import open_user_folder, user_folder

KEPT, MOST = 64_000_000, 1_000  # bytes of all files, and their number; the oldest are deleted first
_FORMAT = f"2 {sys.version_info[:3]}"  # of the files, and what the sets of characters depend on
_FOLDER = ".patterns"  # no name of a folder of notes
_sharing: ContextVar[bool] = ContextVar("thinkpace_shared_patterns", default=False)
_log = logging.getLogger("thinkpace")

Tables = Mapping[str, NDArray[np.generic]]


@contextmanager
def shared_patterns() -> Iterator[None]:
    """Patterns that are compiled inside are left for other processes of this user."""
    token = _sharing.set(True)
    try:
        yield
    finally:
        _sharing.reset(token)


def sharing() -> bool:
    """Whether this runs inside `shared_patterns`."""
    return _sharing.get()


def read(*pattern: str) -> Tables | None:
    """The tables that a process left for a pattern; None if there are none, or they cannot be read.

    A damaged file is deleted, so that it is written again.
    """
    path = _path(pattern)
    try:
        if hasattr(os, "getuid") and path.lstat().st_uid != os.getuid():
            return None
        with path.open("rb") as data, np.load(data, allow_pickle=False) as file:
            return dict(file)
    except OSError:
        return None
    except Exception as error:  # noqa: BLE001  # whatever a damaged file makes of zip and numpy
        _log.info("%s is damaged: %s", path, error)
        discard(*pattern)
        return None


def discard(*pattern: str) -> None:
    """Delete what was left for a pattern."""
    with suppress(OSError):
        _path(pattern).unlink()


def write(tables: Tables, *pattern: str) -> None:
    """Leave the tables of a pattern, unless they are there. What fails is only logged: others build them again."""
    path = _path(pattern)
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        if path.exists():
            return
        open_user_folder()
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with part.open("xb") as file:
            np.savez(file, allow_pickle=False, **tables)
        part.replace(path)
        _delete_oldest(path.parent)
    except OSError as error:
        _log.info("the automaton of a pattern is not shared, and is built once more elsewhere: %s", error)
        with suppress(OSError):
            part.unlink()


def tables_of(text: str) -> Tables:
    """A text as tables."""
    return {"text": np.frombuffer(text.encode(), dtype=np.uint8)}


def text_of(tables: Tables) -> str | None:
    """The text that `tables_of` wrote; None if it is damaged."""
    try:
        return tables["text"].tobytes().decode()
    except (KeyError, UnicodeDecodeError):
        return None


def _path(pattern: tuple[str, ...]) -> Path:
    key = "\0".join((_FORMAT, *pattern)).encode("utf-8", "surrogatepass")
    return user_folder(_FOLDER, hashlib.sha256(key).hexdigest())


def _delete_oldest(folder: Path) -> None:
    found = list[tuple[int, int, Path]]()
    for entry in folder.iterdir():
        with suppress(FileNotFoundError):  # deleted by another process
            about = entry.stat()
            found.append((about.st_mtime_ns, about.st_size, entry))
    total = 0
    for number, (_, size, entry) in enumerate(sorted(found, reverse=True), 1):
        total += size
        if total > KEPT or number > MOST:
            entry.unlink(missing_ok=True)
