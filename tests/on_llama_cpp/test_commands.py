"""The commands with `--engine llama.cpp`."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from support.commands import process, typed

from thinkpace.eval import embedded


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_sweep_agrees_with_the_other_engine_within_intervals(tmp_path: Path) -> None:
    """The same command with another engine: other random numbers, the same distribution."""
    found = {}
    for engine in ("hf", "llama.cpp"):
        arguments = ("--engine", engine, "--limit", "96", "--budgets", "16,none", "--out", engine)
        made = process("sweep", *arguments, cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        found[engine] = rows(tmp_path / engine / "results.csv")
        assert (tmp_path / engine / "curve.png").is_file()
    assert len(found["hf"]) == 2
    for one, other in zip(found["hf"], found["llama.cpp"], strict=True):
        assert one["controls"] == other["controls"]
        assert float(one["ci_low"]) <= float(other["ci_high"])
        assert float(other["ci_low"]) <= float(one["ci_high"])


def test_run_and_doctor(tmp_path: Path) -> None:
    asked = ("run", "Modulo 10: a=7;b=a*3;c=b+9; c=?", "--temperature", "0", "--budget", "12")
    one, other = (typed(*asked, "--engine", engine, cwd=tmp_path) for engine in ("hf", "llama.cpp"))
    assert one.returncode == other.returncode == 0, other.stderr
    assert one.stdout == other.stdout
    path = str(embedded.path("gguf-q8_0"))
    assert "armed" in typed(*asked, "--model", path, "--answer-reserve", "16", cwd=tmp_path).stdout
    draw_then_edit = typed("doctor", "--model", path, cwd=tmp_path)
    assert draw_then_edit.returncode == 0, draw_then_edit.stdout
    assert "LlamaCppEngine" in draw_then_edit.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "a", "--engine", "llama.cpp", "--model", "some/folder"), "needs a .gguf file"),
        (("run", "a", "--model", "none.gguf"), "there is no file 'none.gguf'"),
        (("run", "a", "--engine", "vllm", "--model", "none.gguf"), "for --engine llama.cpp"),
        (("run", "a", "--engine", "tgi"), "--engine must be one of hf, llama.cpp"),
        (("serve", "--engine", "hf"), "serve runs with --engine llama.cpp"),
        (("serve", "--control", "Nope"), "unknown control 'Nope'"),
        (("serve", "--port", "-3"), "port"),
    ],
)
def test_mistakes_are_one_sentence(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    made = typed(*arguments, cwd=tmp_path)
    assert made.returncode == 2
    assert says in made.stderr
    assert "Traceback" not in made.stderr
