"""The command line on vLLM."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path


def thinkpace(*arguments: str, cwd: Path) -> str:
    command = [sys.executable, "-m", "thinkpace.eval", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return done.stdout


def test_a_sweep_says_the_same_as_on_transformers(tmp_path: Path) -> None:
    options = ("--budgets", "16,none", "--limit", "24", "--temperature", "0")
    found = {}
    for engine in ("hf", "vllm"):
        thinkpace("sweep", "--engine", engine, *options, "--out", engine, cwd=tmp_path)
        with (tmp_path / engine / "results.csv").open() as file:
            found[engine] = [
                (row["max_tokens"], row["accuracy"], row["completion_tokens_mean"]) for row in csv.DictReader(file)
            ]
    assert found["hf"] == found["vllm"]
    assert len(found["hf"]) == 2


def test_doctor_tells_what_vllm_will_not_do(tmp_path: Path) -> None:
    said = thinkpace("doctor", "--engine", "vllm", cwd=tmp_path)
    assert "Model Runner V2" in said
