"""The two controls on real engines and from the command line, with the embedded model of thinkpace."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from own_control import QuestionLimit, WaitLimit

from thinkpace import BudgetForcing, Engine, Request, Sampling
from thinkpace.eval import embedded

QUESTION = "Modulo 10: a=7;b=a*3;c=b+9;d=c-4;e=d+1; e=?"
CONTROLS = (QuestionLimit(1), WaitLimit(2), BudgetForcing(200, waits=4, answer_reserve=16))


def check(engine: Engine) -> None:
    """The second "Wait" that `BudgetForcing` writes is the last: `WaitLimit` closes after it."""
    prompt = engine.chat([{"role": "user", "content": QUESTION}])
    [completion] = engine.generate([Request(prompt, CONTROLS, 300, Sampling(0))])
    assert completion.thinking.count("Wait") == completion.receipt.waits == 2
    assert completion.receipt.end == "forced"
    assert any(event.why == "waits" for event in completion.receipt.events), completion.receipt.events


def test_hugging_face() -> None:
    pytest.importorskip("transformers")
    from thinkpace.adapters.hf import HFEngine

    check(HFEngine.from_path(embedded.path("hf")))


def test_llama_cpp() -> None:
    pytest.importorskip("llama_cpp")
    from thinkpace.adapters.llama_cpp import LlamaCppEngine

    check(LlamaCppEngine(embedded.path("gguf")))


def test_vllm() -> None:
    pytest.importorskip("vllm")
    from thinkpace.eval.engines import open_engine

    engine: Any = open_engine("embedded", "vllm", None)
    check(engine)
    engine.close()


def test_a_sweep_in_worker_processes(tmp_path: Path) -> None:
    pytest.importorskip("typer")
    arguments = ["--limit", "8", "--budgets", "none", "--executor", "processes", "--out", str(tmp_path / "sweep")]
    subprocess.run(
        [sys.executable, "-m", "thinkpace", "sweep", "--control", "wait_limit(1) + QuestionLimit(2)", *arguments],
        check=True,
    )
    rows = list(csv.DictReader((tmp_path / "sweep" / "results.csv").read_text().splitlines()))
    assert any("WaitLimit+QuestionLimit" in row["control"] for row in rows), rows
    subprocess.run([sys.executable, "-m", "thinkpace", "doctor", "--control", "QuestionLimit(2)"], check=True)
