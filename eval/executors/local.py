"""Where the work of a sweep is done: here, in processes of this machine, or on a Ray cluster.

An executor keeps engines and calls functions on them. Work that is lost with a worker is done again by another one;
work that every worker dies at is given back.
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from thinkpace.engine import Engine

Item = TypeVar("Item")
Output = TypeVar("Output")
Opener = Callable[[], Engine]  # must pickle where the engine is opened elsewhere

TRIES = 3  # of a piece of work whose workers die


class WorkerDied(RuntimeError):
    """What became of work that workers die at."""

    def __init__(self) -> None:
        super().__init__(
            f"the worker died {TRIES} times at the same piece of work: it may need more memory than there is"
        )


class Executor(Protocol):
    """Engines, and a way to have them work."""

    def call(self, function: Callable[..., Output], *arguments: Any) -> Output:
        """`function(engine, *arguments)`, on one of the engines."""
        ...

    def map(
        self, function: Callable[[Engine, Item], Output], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Output | WorkerDied]]:
        """`function(engine, item)` for every item, with its item, as they are done; items are taken when needed."""
        ...


class Here:
    """One engine, in this process.

    Args:
        engine: that works.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def call(self, function: Callable[..., Output], *arguments: Any) -> Output:
        return function(self._engine, *arguments)

    def map(self, function: Callable[[Engine, Item], Output], items: Iterable[Item]) -> Iterator[tuple[Item, Output]]:
        for item in items:
            yield item, function(self._engine, item)


_engine: Engine | Exception | None = None  # of a worker process, or why it has none


def _open(opener: Opener) -> None:
    global _engine  # a process has one engine, from its beginning to its end
    try:
        _engine = opener()
    except Exception as error:  # noqa: BLE001  # it is raised where work is asked for
        _engine = error


def _work(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    assert _engine is not None
    try:
        if isinstance(_engine, Exception):
            raise _engine
        return function(_engine, *arguments)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # noqa: BLE001  # it cannot travel as it is
            raise RuntimeError(f"{type(error).__name__}: {error}") from None
        raise


class Processes:
    """Engines in processes of this machine. A context manager.

    Args:
        opener: makes an engine; runs once in every process.
        workers: how many, at least 1.

    Raises:
        MissingExtra: without pebble.
    """

    def __init__(self, opener: Opener, workers: int) -> None:
        from thinkpace.eval.executors.process_pool import Pool

        if workers < 1:
            raise ValueError(f"workers must be >= 1, got {workers}")
        self._workers = workers
        self._pool = Pool(workers, _open, opener)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, trace)

    def call(self, function: Callable[..., Output], *arguments: Any) -> Output:
        from thinkpace.eval.executors.process_pool import LOST

        for _ in range(TRIES):
            try:
                result: Output = self._pool.submit(_work, function, arguments).result()
            except LOST:
                continue
            return result
        raise WorkerDied

    def map(
        self, function: Callable[[Engine, Item], Output], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Output | WorkerDied]]:
        from thinkpace.eval.executors.process_pool import LOST

        under_way: dict[Future[Any], tuple[Item, int]] = {}

        def start(item: Item, lost: int) -> None:
            under_way[self._pool.submit(_work, function, (item,))] = item, lost

        waiting = iter(items)
        while True:
            for item in itertools.islice(waiting, 2 * self._workers - len(under_way)):  # one ahead of each
                start(item, 0)
            if not under_way:
                return
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                item, lost = under_way.pop(future)
                try:
                    yield item, future.result()
                except LOST:
                    if lost + 1 == TRIES:
                        yield item, WorkerDied()
                    else:
                        start(item, lost + 1)
