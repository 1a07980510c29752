"""`thinkpace.sweep`: the command as a function."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from support.commands import typed
from support.strange import Strange, registered
from typer.main import get_command

import thinkpace
from thinkpace import LoopBreaker, ThinkBudget, UnsupportedControl
from thinkpace.eval import SweepResults
from thinkpace.eval.cli import sweep as command
from thinkpace.eval.cli.app import app
from thinkpace.eval.sweeps.config import OTHER_NAMES, Config

SMALL: dict[str, Any] = {"limit": 8, "budgets": [0, None], "temperature": 0.0, "progress": False}


def test_options_have_one_name_everywhere() -> None:
    """The command, the function and the file: an option of one that another lacks would be silently out of reach."""
    commands: Any = get_command(app)
    options = commands.commands["sweep"].params
    of_command = {max(option.opts, key=len).strip("-").replace("-", "_") for option in options} - {"help"}
    of_function = set(inspect.signature(thinkpace.sweep).parameters) - {"progress"}
    assert of_command == of_function
    assert {OTHER_NAMES.get(name, name) for name in of_command - {"file", "out"}} == set(Config.model_fields)


def test_options_have_one_default() -> None:
    for name, parameter in inspect.signature(command.sweep).parameters.items():
        field = Config.model_fields.get(OTHER_NAMES.get(name, name))
        if field is not None and parameter.default is not None:
            assert field.default == parameter.default, name


def test_it_gives_what_the_command_writes(tmp_path: Path) -> None:
    results = thinkpace.sweep(**SMALL, out=tmp_path / "python")
    done = typed("sweep", "--limit", "8", "--budgets", "0,none", "--temperature", "0", "--out", "typed", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "python/results.csv").read_text() == (tmp_path / "typed/results.csv").read_text()
    assert len(results) == 2
    assert [row.max_tokens for row in results] == [0, None]
    for line in str(results).splitlines():
        assert line.strip() in done.stdout
    assert list(results.dataframe()["samples"]) == [8, 8]
    assert results.plot().axes
    assert results.report().read_text().startswith("<!")
    assert repr(results).startswith("<SweepResults of 2 settings in ")


def test_results_of_a_folder_are_read_again(tmp_path: Path) -> None:
    first = thinkpace.sweep(**SMALL, out=tmp_path / "s")
    assert SweepResults(tmp_path / "s").rows == first.rows
    with pytest.raises(FileNotFoundError):
        SweepResults(tmp_path / "nothing")


def test_controls_as_objects_and_as_text(tmp_path: Path) -> None:
    """A list of controls is one setting; a list of texts, or of lists, is as many."""
    few: dict[str, Any] = {"limit": 2, "temperature": 0.0, "progress": False, "max_new_tokens": 200}
    one = thinkpace.sweep(**few, control=[LoopBreaker(), ThinkBudget(8)], out=tmp_path / "one")
    assert [row.controls for row in one][-1] == "LoopBreaker() + ThinkBudget(max_tokens=8)"
    two = thinkpace.sweep(**few, control=["LoopBreaker", "ThinkBudget(8)"], out=tmp_path / "two")
    again = thinkpace.sweep(**few, control=[[LoopBreaker()], [ThinkBudget(8)]], out=tmp_path / "again")
    assert (tmp_path / "two/results.csv").read_text() == (tmp_path / "again/results.csv").read_text()
    assert len(two) == len(again) > len(one)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"limit": 0}, ValueError, "limit"),
        ({"task": "no such task"}, ValueError, "no such task"),
        ({"executor": "nowhere"}, ValueError, "executor"),
        ({"control": "Nonsense"}, ValueError, "unknown control 'Nonsense'"),
        ({"file": "nothing.toml"}, FileNotFoundError, "nothing.toml"),
        ({"control": "ThinkBudget(min_tokens=5000)"}, UnsupportedControl, "min_tokens"),
    ],
)
def test_mistakes_are_errors_before_anything_runs(
    options: dict[str, object], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        thinkpace.sweep(**{**SMALL, **options}, out=tmp_path / "s")
    assert not (tmp_path / "s" / "results.csv").exists()


def test_results_stay_readable_without_the_package_of_a_control(tmp_path: Path) -> None:
    """They were locked away once the package was gone."""
    few: dict[str, Any] = {"limit": 2, "temperature": 0.0, "progress": False, "max_new_tokens": 100}
    with registered():
        before = thinkpace.sweep(**few, control=[Strange(4)], budgets=[None], out=tmp_path / "s")
    after = SweepResults(tmp_path / "s")
    assert [row.accuracy for row in after] == [row.accuracy for row in before]
    assert after[-1].controls.startswith("Strange(tokens=4)")
    assert after.report().is_file()
    done = typed("resume", "s", "--samples", "2", cwd=tmp_path)
    assert done.returncode == 2
    assert "unknown control 'Strange'" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"control": [3]}, "control must be text, a control, or lists of these, got 3"),
        ({"control": LoopBreaker}, "control must be text"),
        ({"budgets": 3.5}, "budgets, waits and rules must be text, a number, or a list, got 3.5"),
    ],
)
def test_arguments_of_other_types_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        thinkpace.sweep(**options)


def test_options_are_typed() -> None:
    with pytest.raises(TypeError, match="budget"):
        thinkpace.sweep(budget=[0])  # type: ignore[call-arg]  # the mistake


def test_a_sweep_says_that_thinking_was_never_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three identical rows, and no word: the prompt has closed thinking before a budget could act on it."""
    options = {"limit": 4, "budgets": [0, 16], "temperature": 0.0, "prefill": "<think>\n</think>\n"}
    results = thinkpace.sweep(**options, max_new_tokens=40, out=tmp_path / "s")  # type: ignore[arg-type]  # of several types
    says = "thinking was opened in 0 of 4 samples: budgets and waits had nothing to act on"
    assert says in results.note
    assert says in str(results)
    assert says in capsys.readouterr().out
    assert says in (tmp_path / "s/report.html").read_text()
    assert results[0].prompt.startswith("step-by-step + ")
    fine = thinkpace.sweep(**SMALL, out=tmp_path / "fine")
    assert "thinking was opened" not in fine.note


def test_a_prompt_of_ones_own_and_a_prefill(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Solve it step by step.\n{question}\n")
    (tmp_path / "s.toml").write_text('prompt_file = "mine.txt"\nlimit = 2\nbudgets = "8"\ntemperature = 0.0\n')
    results = thinkpace.sweep(tmp_path / "s.toml", progress=False, out=tmp_path / "s")
    assert results[0].prompt == "mine"
    with pytest.raises(FileNotFoundError, match="no prompt file"):
        thinkpace.sweep(prompt_file=tmp_path / "none.txt", **SMALL)
    (tmp_path / "bad.txt").write_text("no place for it")
    with pytest.raises(ValueError, match="question"):
        thinkpace.sweep(prompt_file=tmp_path / "bad.txt", **SMALL)
    with pytest.raises(ValueError, match="has a prefill of its own"):
        thinkpace.sweep(prompt="nothinking", prefill="<think>", **SMALL)
    answer = "StructuredAnswer(regex='Final Answer: [0-9]')"
    with pytest.raises(thinkpace.UnsupportedControl, match="begins the answer"):
        thinkpace.sweep(prefill="</think>\nFinal", control=[answer], **SMALL)
    done = typed("run", "1", "--prefill", "</think>\\nFinal", "--control", answer, cwd=tmp_path)
    assert "begins the answer" in done.stderr
    done = typed("run", "1", "--chat-template-kwargs", "[]", cwd=tmp_path)
    assert done.returncode != 0
    assert "takes a JSON object" in done.stderr
