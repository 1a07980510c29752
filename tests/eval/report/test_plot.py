"""The figure: nothing is cut off, hidden without a word, or written over a marker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from support.sweeps import EXAMPLES, Counting, found, go, journal, plan
from typer.testing import CliRunner

from thinkpace.eval.cli.app import app
from thinkpace.eval.report.axes import AXES, price_axis
from thinkpace.eval.report.plot import STYLES, Look, figure
from thinkpace.eval.stats.names import short_names
from thinkpace.eval.stats.results import Result


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    with journal(tmp_path_factory.mktemp("sweep")) as book:
        go(plan(examples=EXAMPLES[:10]), Counting(), book)
        return found(book)


def many(rows: list[Result], lines: int) -> list[Result]:
    """The same points under the names of many controls."""
    long = "ThoughtSwitchPenalty(alpha=3.0, beta={}, expressions=('alternatively', 'wait'))"
    return [
        replace(
            r, line=f"{long.format(i)} + {r.line}" if i else r.line, thinking_tokens_mean=r.thinking_tokens_mean + i % 3
        )
        for i in range(lines)
        for r in rows
        if not r.waits
    ]


def texts(made: Figure) -> list[str]:
    [legend] = made.legends
    return [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("lines", [1, 9])
def test_nothing_leaves_the_canvas(rows: list[Result], style: str, lines: int) -> None:
    """E13: with eight controls the legend was cut off on both sides, and the axes shrank to 45 % of the width."""
    made = figure(many(rows, lines), "a title", "a note " * 30, Look(style=STYLES[style]))
    made.draw_without_rendering()
    canvas, [axes] = made.bbox, made.axes
    box = made.legends[0].get_window_extent()
    assert canvas.x0 <= box.x0
    assert box.x1 <= canvas.x1
    assert box.y0 >= canvas.y0 - 1
    inside = axes.get_window_extent()
    assert inside.width > 0.7 * canvas.width
    assert inside.height > 0.6 * STYLES[style].height * made.dpi
    assert box.y1 <= inside.y0, "the legend is below the axes"


@pytest.mark.parametrize("style", STYLES)
def test_no_label_lies_on_a_marker_or_a_label(rows: list[Result], style: str) -> None:
    made = figure(many(rows, 4), "", look=Look(style=STYLES[style]))
    made.draw_without_rendering()
    [axes] = made.axes
    labels = [child for child in axes.get_children() if isinstance(child, Annotation)]
    assert labels
    boxes = [label.get_window_extent() for label in labels]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        for r in many(rows, 4):
            x, y = axes.transData.transform((r.thinking_tokens_mean, 100 * r.accuracy))
            assert not box.contains(x, y)


def test_lines_that_coincide_say_so(rows: list[Result]) -> None:
    twice = [replace(r, line=f"LoopBreaker() + {r.line}") for r in rows if not r.waits]
    assert "LoopBreaker (same points as budget, no waits)" in texts(figure([*rows, *twice], ""))


@pytest.mark.parametrize("axis", AXES)
def test_axes(rows: list[Result], axis: str) -> None:
    made = figure(rows, "", look=Look(AXES[axis], log=True))
    [axes] = made.axes
    assert axes.get_xlabel() == AXES[axis].label
    assert axes.get_xscale() == "log"


def test_prices() -> None:
    with pytest.raises(ValueError, match="prices"):
        price_axis(-1, 0)
    with pytest.raises(ValueError, match="prices"):
        price_axis(0, 0)


def test_prices_by_hand(rows: list[Result]) -> None:
    one = replace(rows[0], generated_tokens_mean=100.0, total_tokens_mean=300.0)
    assert price_axis(1, 4).of(one) == pytest.approx((200 + 400) / 1e6)


def test_nothing_to_draw(rows: list[Result]) -> None:
    with pytest.raises(ValueError, match="nothing can be drawn"):
        figure([replace(rows[0], thinking_tokens_mean=0.0)], "", look=Look(log=True))


NAMES = st.lists(
    st.sampled_from(["A(b=1, answer_reserve=16)", "A(b=1, answer_reserve=4)", "A(b=1)", "B() + A()", "no control"])
)


@given(NAMES.map(lambda names: list(dict.fromkeys(names))))
@settings(max_examples=50)
def test_short_names_stay_apart(names: list[str]) -> None:
    short = short_names(names)
    assert len({*short.values()}) == len(names)
    if "A(b=1)" not in names and "A(b=1, answer_reserve=4)" not in names and "A(b=1, answer_reserve=16)" in names:
        assert short["A(b=1, answer_reserve=16)"] == "A(b=1)"


def test_the_command(tmp_path: Path) -> None:
    with journal(tmp_path) as book:
        go(plan(examples=EXAMPLES[:4]), Counting(), book)
    for form, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        path = tmp_path / f"f.{form}"
        options = [
            "--axis",
            "total",
            "--log",
            "--style",
            "column",
            "--label",
            "budget, no waits=mine",
            "--out",
            str(path),
        ]
        done = CliRunner().invoke(app, ["figure", str(tmp_path), *options])
        assert done.exit_code == 0, done.exception
        assert path.read_bytes().startswith(start)
    assert "mine" in (tmp_path / "f.svg").read_text()
    for wrong, says in (
        (["--axis", "time"], "--axis"),
        (["--style", "poster"], "--style"),
        (["--out", "f.gif"], "--out"),
        (["--label", "nothing=x"], "budget, no waits"),
        (["--axis", "total", "--price-in", "1"], "give one"),
    ):
        done = CliRunner().invoke(app, ["figure", str(tmp_path), *wrong])
        assert says in str(done.exception)
