"""E15: the page says how its numbers were made."""

from __future__ import annotations

import shlex
from pathlib import Path

import thinkpace
from thinkpace.eval.report.provenance import provenance
from thinkpace.eval.report.publish import JOURNAL
from thinkpace.eval.runs.journal import Journal
from thinkpace.eval.sweeps.config import command_of, merged


def test_the_page_can_be_cited(tmp_path: Path) -> None:
    out = tmp_path / "s"
    thinkpace.sweep(limit=2, budgets=[0], temperature=0.0, seed=5, progress=False, out=out)
    thinkpace.sweep(limit=2, budgets=[0], temperature=0.0, seed=5, samples=1, progress=False, out=out)
    with Journal(out / JOURNAL, read_only=True) as journal:
        made = provenance(journal)
    rows = dict(made)
    assert len(made) == len(rows), "the same command and machine are stored once"
    assert "seed 5" in rows["sampling"]
    assert "digest" in rows["model"]
    assert "written" in rows["grader"]
    assert f"thinkpace {thinkpace.__version__}" in rows["ran on"]
    page = (out / "report.html").read_text()
    for part in ("seed 5", "digest", "--budgets 0"):
        assert part in page


def test_a_command_says_what_is_not_as_by_default() -> None:
    given = {"budgets": "0,none", "control": ["ThinkBudget(5)", "LoopBreaker()"], "replay": True, "open_marker": "<a>"}
    config = merged(None, {**given, "workers": 4})
    assert shlex.split(command_of(config)) == [
        *("thinkpace", "sweep", "--budgets", "0,none", "--control", "ThinkBudget(5)", "--control", "LoopBreaker()"),
        *("--open", "<a>", "--replay"),
    ]
