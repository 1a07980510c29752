"""Graders by name, for many answers at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from thinkpace.errors import suggestion
from thinkpace.eval.grading.compare import GRADERS, choice, letter, number, numeric

GRADER_NAMES = (*GRADERS, "math")


class Grading:
    """Compares answers. A context manager, since "math" runs worker processes.

    Args:
        name: one of `GRADER_NAMES`.
        workers, timeout: of the math grader, as in `MathGrader`.

    Raises:
        ValueError: for an unknown name.
        MissingExtra: for "math" if its libraries are not installed.
    """

    def __init__(self, name: str, workers: int | None = None, timeout: float | None = None) -> None:
        if name not in GRADER_NAMES:
            raise ValueError(
                f"grader must be one of {', '.join(GRADER_NAMES)}, got {name!r}{suggestion(name, GRADER_NAMES)}"
            )
        self._compare = GRADERS.get(name)
        if self._compare is None:
            from thinkpace.eval.grading.math import TIMEOUT, MathGrader

            self._processes = MathGrader(workers, timeout or TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._compare is None:
            self._processes.__exit__(kind, error, trace)

    def check(self, known: Mapping[str, str]) -> None:
        """Check the known answers before anything is generated.

        Args:
            known: question id -> answer.

        Raises:
            ValueError: if the grader needs a number or a letter and a known answer is none.
        """
        for compare, read, what in ((numeric, number, "number"), (choice, letter, "letter")):
            bad = [name for name, answer in known.items() if self._compare is compare and read(answer) is None]
            if bad:
                raise ValueError(
                    f"the known answer {known[bad[0]]!r} of question {bad[0]!r} is no {what}: take another --grader"
                )

    def all(self, pairs: Sequence[tuple[str, str]]) -> list[bool | Exception]:
        """For every pair (found, known), whether the answers are equal, or the error of the comparison."""
        if self._compare is None:
            return list(self._processes.all(pairs))
        results = list[bool | Exception]()
        for found, known in pairs:
            try:
                results.append(self._compare(found, known))
            except ValueError as error:
                results.append(error)
        return results
