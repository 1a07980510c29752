"""The examples run as they stand."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from support.places import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(path), run_name="__main__")
    shown = capsys.readouterr().out
    assert "Final Answer:" in shown
    assert "replaced (wait)" in shown
