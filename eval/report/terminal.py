"""The results of a sweep as a table for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from thinkpace.eval.stats.results import Result


def fitting(results: Sequence[Result], title: str, console: Console) -> Table:
    """The table of results; a narrow terminal gets only the most important columns."""
    whole = results_table(results, title)
    wanted = console.measure(whole, options=console.options.update(width=10_000)).maximum
    return whole if wanted <= console.width else results_table(results, title, brief=True)


def results_table(results: Sequence[Result], title: str, *, brief: bool = False) -> Table:
    """The table of results.

    Args:
        results: one per row.
        title: above the table.
        brief: whether to leave out sample counts, maximum thinking tokens and shares of forced ends, and to move
            engines and prompts below the table.
    """
    caption = "95 % intervals; thinking tokens as the budget counts them"
    caption += _hidden(results)
    out = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    trouble = any(r.truncated or r.no_answer or r.errors for r in results)
    compared = any(not math.isnan(r.difference) and not r.is_forcing for r in results)
    several = [name for name in ("engine", "prompt") if len({getattr(r, name) for r in results}) > 1]
    named = not all(r.is_forcing for r in results)
    details = not compared and not brief
    left = (
        ["row"] * (named or bool(several))
        + several * (not brief)
        + ["budget"]
        + ["waits"] * (not named)
        + ["samples"] * details
    )
    right = ["accuracy", "95 % interval", "thinking"] + ["max", "forced"] * details
    for column in left + right + ["against baseline"] * compared + ["cut/none/error"] * trouble:
        out.add_column(column, justify="right", no_wrap=True)
    for number, r in enumerate(results, 1):
        cells = {
            "row": str(number),
            "engine": r.engine,
            "prompt": r.prompt,
            "budget": "none" if r.max_tokens is None else str(r.max_tokens),
            "waits": str(r.waits),
            "samples": str(r.samples),
            "accuracy": percent(r.accuracy),
            "95 % interval": f"{percent(r.ci_low)} to {percent(r.ci_high)}",
            "thinking": f"{r.thinking_tokens_mean:.1f}",
            "max": str(r.thinking_tokens_max),
            "forced": percent(r.forced_end),
            "against baseline": gained(r),
            "cut/none/error": f"{r.truncated}/{r.no_answer}/{r.errors}",
        }
        out.add_row(*(cells[str(column.header)] for column in out.columns))
    below = several * brief + ["controls"] * named
    if below:
        descriptions = [", ".join(getattr(r, name) for name in below) for r in results]
        out.caption = "\n".join([*(f"{number}: {words}" for number, words in enumerate(descriptions, 1)), caption])
        out.caption_justify = "left"
    return out


def _hidden(results: Sequence[Result]) -> str:
    """What the rows that do not differ from their baseline might hide; empty if all of them differ."""
    alike = [r for r in results if not math.isnan(r.p_adjusted) and r.p_adjusted >= 0.05]
    known = [r.detectable for r in alike if not math.isnan(r.detectable)]
    if not alike:
        return ""
    questions = max(r.questions for r in alike)
    rows = "the row that does" if len(alike) == 1 else f"the {len(alike)} rows that do"
    if not known:
        return f"\n{questions} questions are too few to say what {rows} not differ from their baseline may hide"
    most = 100 * max(known)
    return f"\n{questions} questions: {rows} not differ from their baseline may hide {most:.0f} points (power 0.8)"


def gained(result: Result) -> str:
    """The difference from the baseline in percentage points, with its interval; empty without a baseline."""
    if math.isnan(result.difference):
        return ""
    points = [f"{100 * x:+.1f}" for x in (result.difference, result.difference_low, result.difference_high)]
    return f"{points[0]} ({points[1]} to {points[2]})"


def percent(share: float) -> str:
    """A share in percent with one decimal; "undefined" for NaN."""
    return "undefined" if math.isnan(share) else f"{100 * share:.1f}%"
