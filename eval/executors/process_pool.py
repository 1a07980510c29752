"""A pool of worker processes that restarts when it breaks."""

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

#: errors of a future whose process died: during the work, while idle or during its start
LOST = (ProcessExpired, BrokenProcessPool)


class Pool:
    """Worker processes. A context manager.

    When an idle process dies, for example killed for memory, pebble's pool stops for good; it is then replaced.

    Args:
        workers: number of processes.
        opener: called in each process when it starts.
        arguments: of `opener`.
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
        """Run `function(*arguments)` in one of the processes.

        Args:
            function: must pickle.
            arguments: of `function`; must pickle.
            timeout: seconds after which the process is killed; None for no limit.
        """
        try:
            return self._pool.schedule(function, args=arguments, timeout=timeout)
        except RuntimeError:  # the pool has stopped
            self.__exit__(None, None, None)
            self._pool = self._opened()
            return self._pool.schedule(function, args=arguments, timeout=timeout)
