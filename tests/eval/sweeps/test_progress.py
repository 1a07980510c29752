"""E29: in a pipe or under nohup the progress came at the end, once."""

from __future__ import annotations

import io

from rich.console import Console

from thinkpace.eval.sweeps.progress import progress


def test_in_a_pipe_a_line_comes_now_and_then() -> None:
    out, now = io.StringIO(), 0.0
    with progress(Console(file=out, width=200), "chain on embedded", 100, lambda: now) as advance:
        advance(40)  # there from an earlier run
        for _ in range(6):
            now += 12.0
            advance(10)
    assert out.getvalue().splitlines() == [
        "chain on embedded: 70 of 100 after 36 s, about 36 s left",
        "chain on embedded: 100 of 100 after 1 min 12 s",
    ]


def test_a_terminal_has_a_bar() -> None:
    out = io.StringIO()
    with progress(Console(file=out, width=120, force_terminal=True), "chain on embedded", 2) as advance:
        advance(2)
    assert "2/2" in out.getvalue()
