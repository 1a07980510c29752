"""Mathematical equality by math-verify, in worker processes that are killed when they take too long.

math-verify's own time limit is an alarm signal, which does not work in threads and does not interrupt C code; parsing
some answers never ends. So math-verify never parses in this process.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong
from types import TracebackType
from typing import Any, Self

from thinkpace.errors import MissingExtra

try:
    import math_verify
except ModuleNotFoundError as error:
    raise MissingExtra("the math grader", "math") from error

from thinkpace.eval.executors.process_pool import LOST, Pool
from thinkpace.eval.grading.math_guards import same_function, same_number, same_set
from thinkpace.eval.grading.math_text import choice_letter, rewritten, unit

TIMEOUT = 20.0


class GraderFailed(RuntimeError):
    """The grader could not compare the answers; this is not a verdict."""


def equal(found: str, known: str) -> bool:
    """Whether two answers are mathematically equal; runs in a worker process.

    math-verify decides, with guards on both sides. What it calls equal is checked again exactly if it is a number,
    since it rounds to six decimals. What it calls different is compared as sets and as functions.

    Raises:
        GraderFailed: if math-verify cannot parse the known answer.
    """
    found = found.strip().removesuffix(".")
    if " ".join(found.split()) == " ".join(known.split()):
        return True
    units = unit(found), unit(known)
    if None not in units and units[0] != units[1]:
        return False
    letter = choice_letter(known)
    if letter is not None and choice_letter(found) is not None:
        return choice_letter(found) == letter
    wanted = math_verify.parse(_formula(known), parsing_timeout=None)
    if not wanted:
        raise GraderFailed(f"the known answer {known!r} cannot be read as mathematics")
    made = math_verify.parse(_formula(found), parsing_timeout=None)
    if math_verify.verify(wanted, made, timeout_seconds=None):
        percent = "%" in found + known  # math-verify takes 50 and 0.5 for 50 %
        return not made or percent or same_number(made[0], wanted[0], known) is not False
    return bool(made) and (same_set(made[0], wanted[0]) or same_function(made[0], wanted[0]))


def _quiet() -> None:
    """Silence the warning at every call about the missing time limit: the pool enforces one from outside."""
    logging.getLogger("math_verify").setLevel(logging.ERROR)


def _formula(text: str) -> str:
    return f"${rewritten(text)}$"


class MathGrader:
    """Worker processes that compare answers. A context manager.

    Args:
        workers: number of processes; None for one per usable CPU.
        timeout: maximum seconds for one pair of answers.
    """

    def __init__(self, workers: int | None = None, timeout: float = TIMEOUT) -> None:
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._timeout = timeout
        self._pool = Pool(workers or usable, _quiet)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, trace)

    def all(self, pairs: Iterable[tuple[str, str]]) -> Iterator[bool | GraderFailed]:
        """For every pair (found, known), in order: whether the answers are equal, or the error of the comparison."""
        under_way = [(pair, self._pool.submit(equal, *pair, timeout=self._timeout)) for pair in pairs]
        for pair, future in under_way:
            try:
                yield self._verdict(future)
            except LOST:  # the process died: retry the pair once
                try:
                    yield self._verdict(self._pool.submit(equal, *pair, timeout=self._timeout))
                except LOST as error:
                    yield GraderFailed(f"the math grader's process ended: {error}")

    def _verdict(self, future: Future[Any]) -> bool | GraderFailed:
        try:
            return bool(future.result())
        except GraderFailed as error:
            return error
        except TookTooLong:
            return GraderFailed(f"the math grader took more than {self._timeout:g} s")
        except LOST:
            raise
        except Exception as error:  # noqa: BLE001  # a parser may raise anything; it is not a verdict
            return GraderFailed(f"{type(error).__name__}: {error}")
