"""The results of a sweep for Python: rows, table, DataFrame, plot and report."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, overload

from rich.console import Console

from thinkpace.errors import MissingExtra
from thinkpace.eval.report.publish import JOURNAL, note_of, publish, title_of
from thinkpace.eval.report.terminal import fitting
from thinkpace.eval.runs.journal import Journal
from thinkpace.eval.stats.results import Result, results

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


class SweepResults(Sequence[Result]):
    """The results of a sweep: one row per setting, in grid order. `print` shows the table of the command.

    Args:
        folder: of the sweep; the constructor reads its journal, later changes are not seen.

    Raises:
        FileNotFoundError: if the folder holds no sweep.
        ValueError: if the sweep has no samples yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with Journal(folder / JOURNAL, read_only=True) as journal:
            points = journal.points
            entries = [*journal.entries()]
            self.rows: list[Result] = results(points, entries)
            if not self.rows:
                raise ValueError(f"{folder} holds no samples yet")
            self.title, self.note = title_of(points, len(journal.questions)), note_of(journal, points, entries)

    @overload
    def __getitem__(self, place: int) -> Result: ...
    @overload
    def __getitem__(self, place: slice) -> list[Result]: ...
    def __getitem__(self, place: int | slice) -> Result | list[Result]:
        return self.rows[place]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.rows)

    def __str__(self) -> str:
        out = Console(file=io.StringIO(), width=160)
        out.print(fitting(self.rows, self.title, out))
        if self.note:
            out.print(self.note)
        assert isinstance(out.file, io.StringIO)
        return out.file.getvalue().rstrip()

    def __repr__(self) -> str:
        return f"<SweepResults of {len(self.rows)} settings in {str(self.folder)!r}>"

    def _repr_html_(self) -> str:
        """For notebooks: the table."""
        return f"<pre>{escape(str(self))}</pre>"

    def dataframe(self) -> DataFrame:
        """The rows as a DataFrame, with the columns of `results.csv`.

        Raises:
            MissingExtra: without pandas.
        """
        try:
            from pandas import DataFrame
        except ModuleNotFoundError as error:
            raise MissingExtra("a DataFrame of results", "eval") from error
        return DataFrame([asdict(row) for row in self.rows])

    def plot(self) -> Figure:
        """The figure of `curve.png`: accuracy against thinking tokens. Notebooks display it."""
        from thinkpace.eval.report.plot import figure

        return figure(self.rows, self.title, self.note)

    def report(self) -> Path:
        """Rewrite the page, the plots and the tables; returns the path of `report.html`."""
        with Journal(self.folder / JOURNAL, must_exist=True) as journal:
            publish(journal, self.folder, Console(file=io.StringIO()))
        return self.folder / "report.html"
