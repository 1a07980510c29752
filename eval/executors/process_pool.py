"""Worker processes that are opened again when all of them have died."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Self

from thinkpace.errors import MissingExtra

try:
    from pebble import ProcessExpired, ProcessPool
except ModuleNotFoundError as error:
    raise MissingExtra("work in processes of its own", "math") from error

#: how a future tells that its process died: at the work, or at rest, or while it was opened
LOST = (ProcessExpired, BrokenProcessPool)


class Pool:
    """Processes. A context manager.

    pebble gives a pool up for good when a process dies that has nothing to do, as one does that is killed for memory;
    then there is another pool.

    Args:
        workers: how many.
        opener: called in each when it starts.
        arguments: of the opener.
    """

    def __init__(self, workers: int, opener: Callable[..., None], *arguments: Any) -> None:
        self._workers, self._opener, self._arguments = workers, opener, arguments
        self._pool = self._opened()

    def _opened(self) -> ProcessPool:
        return ProcessPool(
            max_workers=self._workers,
            context=multiprocessing.get_context("spawn"),
            initializer=self._opener,
            initargs=self._arguments,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.stop()
        self._pool.join()

    def submit(self, function: Callable[..., Any], *arguments: Any, timeout: float | None = None) -> Future[Any]:
        """`function(*arguments)` in one of them. Args: timeout: seconds after which that process is killed."""
        try:
            return self._pool.schedule(function, args=arguments, timeout=timeout)
        except RuntimeError:  # it was given up
            self.__exit__(None, None, None)
            self._pool = self._opened()
            return self._pool.schedule(function, args=arguments, timeout=timeout)
