"""The progress of a sweep: a bar on a terminal; in a pipe or a file a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

EVERY_S = 30.0  # between two lines


@contextmanager
def progress(
    console: Console, name: str, total: int, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[int], None]]:
    """Show how far something is.

    Args:
        console: to show it on.
        name: of what it is.
        total: number of its parts.
        clock: in seconds.

    Yields:
        A function to call with the number of parts that were finished.
    """
    if console.is_terminal:
        columns = (TextColumn("[progress.description]{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=console) as bar:
            shown = bar.add_task(name, total=total)
            yield lambda done: bar.advance(shown, done)
        return
    start = last = clock()
    there, found = 0, 0  # found: finished by others, or before, as the first call tells

    def advance(done: int) -> None:
        nonlocal last, there, found
        now = clock()
        there += done
        if now - start < 1.0:
            found = there  # what an earlier run had left
        if now - last >= EVERY_S or there >= total:
            last = now
            console.print(_line(name, there, total, now - start, there - found), highlight=False, soft_wrap=True)

    yield advance


def _line(name: str, there: int, total: int, seconds: float, made: int) -> str:
    left = f", about {_duration(seconds / made * (total - there))} left" if made and there < total else ""
    return f"{name}: {there} of {total} after {_duration(seconds)}{left}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
