"""Sweeps on a Ray cluster: engines are actors, the journal stays with the process that started the sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from thinkpace.engine import Engine
from thinkpace.errors import MissingExtra
from thinkpace.eval.executors.local import TRIES, Item, Opener, Output, WorkerDied

try:
    import ray
    from ray.exceptions import RayActorError
except ModuleNotFoundError as error:
    raise MissingExtra("sweeps on a Ray cluster", "ray") from error


class Worker:
    """An engine on some machine of the cluster.

    Args:
        opener: opens the engine.
    """

    def __init__(self, opener: Opener) -> None:
        self._engine = opener()

    def work(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Call `function(engine, *arguments)`."""
        return function(self._engine, *arguments)


class OnRay:
    """Engines as actors of a Ray cluster: the cluster at `RAY_ADDRESS`, else a local one. A context manager.

    If an actor dies, a new one repeats its work.

    Args:
        opener: opens an engine; runs once in every actor.
        workers: number of actors, at least 1.
        cpus, gpus: reserved by each actor.

    Raises:
        ValueError: if `workers` is below 1.
        MissingExtra: without ray, on import.
    """

    def __init__(self, opener: Opener, workers: int, cpus: float = 1, gpus: float = 0) -> None:
        if workers < 1:
            raise ValueError(f"workers must be >= 1, got {workers}")
        self._began = not ray.is_initialized()
        if self._began:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        self._actor = ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=0)(Worker)
        self._opener = opener
        self._workers = [self._actor.remote(opener) for _ in range(workers)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            ray.kill(worker)
        if self._began:
            ray.shutdown()

    def _renewed(self, place: int) -> None:
        self._workers[place] = self._actor.remote(self._opener)

    def call(self, function: Callable[..., Output], *arguments: Any) -> Output:
        for _ in range(TRIES):
            try:
                result: Output = ray.get(self._workers[0].work.remote(function, arguments))
            except RayActorError:
                self._renewed(0)
                continue
            return result
        raise WorkerDied

    def map(
        self, function: Callable[[Engine, Item], Output], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Output | WorkerDied]]:
        waiting, again = iter(items), list[tuple[Item, int]]()
        under_way: dict[Any, tuple[int, Item, int]] = {}
        idle = [*range(len(self._workers))]
        while True:
            while idle:
                taken = again.pop() if again else next(((item, 0) for item in waiting), None)
                if taken is None:
                    break
                place = idle.pop()
                under_way[self._workers[place].work.remote(function, (taken[0],))] = place, *taken
            if not under_way:
                return
            [ready], _ = ray.wait([*under_way], num_returns=1)
            place, item, lost = under_way.pop(ready)
            idle.append(place)
            try:
                result = ray.get(ready)
            except RayActorError:
                self._renewed(place)
                if lost + 1 == TRIES:
                    yield item, WorkerDied()
                else:
                    again.append((item, lost + 1))
                continue
            yield item, result
