"""The command line on vLLM."""

from __future__ import annotations

import csv
from pathlib import Path

from support.commands import process


def thinkpace(*arguments: str, cwd: Path) -> str:
    done = process(*arguments, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return done.stdout


def test_a_sweep_says_the_same_as_on_transformers(tmp_path: Path) -> None:
    options = ("--budgets", "16,none", "--limit", "24", "--temperature", "0")
    found, shares = {}, {}
    for name, more in (("hf", ()), ("vllm", ()), ("replayed", ("--replay",))):
        engine = "hf" if name == "hf" else "vllm"
        thinkpace("sweep", "--engine", engine, *options, *more, "--out", name, cwd=tmp_path)
        with (tmp_path / name / "results.csv").open() as file:
            rows = list(csv.DictReader(file))
        found[name] = [(row["max_tokens"], row["accuracy"], row["completion_tokens_mean"]) for row in rows]
        shares[name] = sum(float(row["replayed"]) for row in rows)
    assert found["hf"] == found["vllm"] == found["replayed"]
    assert len(found["hf"]) == 2
    assert shares["vllm"] == 0 < shares["replayed"]


def test_doctor_tells_what_vllm_will_not_do(tmp_path: Path) -> None:
    said = thinkpace("doctor", "--engine", "vllm", cwd=tmp_path)
    assert "Model Runner V2" in said
