"""Executors of this machine: they run the work of a sweep in this process or in worker processes.

An executor holds engines and calls functions on them. If a worker dies, another one repeats its work; work that kills
every worker is returned with a `WorkerDied`.
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
Opener = Callable[[], Engine]  # must pickle if another process opens the engine

TRIES = 3  # attempts at a piece of work whose workers die


class WorkerDied(RuntimeError):
    """The result of work whose workers died `TRIES` times."""

    def __init__(self) -> None:
        super().__init__(
            f"the worker died {TRIES} times at the same piece of work: it may need more memory than there is"
        )


class Executor(Protocol):
    """Holds engines and calls functions on them."""

    def call(self, function: Callable[..., Output], *arguments: Any) -> Output:
        """Call `function(engine, *arguments)` on one of the engines."""
        ...

    def map(
        self, function: Callable[[Engine, Item], Output], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Output | WorkerDied]]:
        """Yields (item, `function(engine, item)`) as each finishes; `items` is consumed lazily."""
        ...


class Here:
    """One engine, in this process.

    Args:
        engine: that runs the work.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def call(self, function: Callable[..., Output], *arguments: Any) -> Output:
        return function(self._engine, *arguments)

    def map(self, function: Callable[[Engine, Item], Output], items: Iterable[Item]) -> Iterator[tuple[Item, Output]]:
        for item in items:
            yield item, function(self._engine, item)


_engine: Engine | Exception | None = None  # of this worker process, or the error that opening it raised


def _open(opener: Opener) -> None:
    global _engine  # a worker process has one engine for its whole life
    try:
        _engine = opener()
    except Exception as error:  # noqa: BLE001  # raised again when work arrives
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
        except Exception:  # noqa: BLE001  # the error cannot be pickled
            raise RuntimeError(f"{type(error).__name__}: {error}") from None
        raise


class Processes:
    """Engines in processes of this machine. A context manager.

    Args:
        opener: opens an engine; runs once in every process.
        workers: number of processes, at least 1.

    Raises:
        ValueError: if `workers` is below 1.
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
            # one running and one waiting item per worker
            for item in itertools.islice(waiting, 2 * self._workers - len(under_way)):
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
