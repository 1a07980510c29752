"""E28: unknown names say which known one they are most like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import thinkpace
from thinkpace import controls_from_text
from thinkpace.errors import suggestion
from thinkpace.prompts import named


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        (lambda: controls_from_text("ThinkBugdet(5)"), "ThinkBudget"),
        (lambda: controls_from_text("ThinkBudget(5, lading=3)"), "landing"),
        (lambda: named("step-by-stp"), "step-by-step"),
        (lambda: thinkpace.sweep(task="chian"), "chain"),
        (lambda: thinkpace.sweep(grader="nummeric"), "numeric"),
        (lambda: thinkpace.sweep(rules="boxd"), "boxed"),
    ],
)
def test_did_you_mean(asked: Callable[[], Any], meant: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean '{meant}'"):
        asked()


def test_a_key_of_a_file(tmp_path: Any) -> None:
    (tmp_path / "s.toml").write_text('bugdets = "8"\n')
    with pytest.raises(ValueError, match="did you mean 'budgets'"):
        thinkpace.sweep(tmp_path / "s.toml")


def test_nothing_is_alike() -> None:
    assert suggestion("xyzzy", ["budgets"]) == ""
