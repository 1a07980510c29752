"""The commands as people type them, on the embedded model."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from support.commands import command, environment, process, typed

from thinkpace.eval import embedded
from thinkpace.eval.report.publish import TABLE_FILES

SMALL = ("sweep", "--limit", "96", "--budgets", "0,16,none")


@pytest.mark.timeout(900)
def test_killed_and_resumed_gives_the_same_results(tmp_path: Path) -> None:
    """SIGKILL in the middle, at whatever it is doing; the same command continues, and the files are the same."""
    whole = typed(*SMALL, "--out", "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    child = subprocess.Popen(
        command(*SMALL, "--out", "killed"), cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL
    )
    path = tmp_path / "killed" / "journal.sqlite"
    deadline = time.monotonic() + 120
    while count(path) < 2 * 64 and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert 0 < count(path) < 96 * 3, "it was killed half-way"
    assert not (tmp_path / "killed" / "results.csv").exists()
    again = process(*SMALL, "--out", "killed", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    same_tables(tmp_path)
    assert "accuracy" in again.stdout
    assert "undefined" not in again.stdout


def count(path: Path) -> int:
    if not path.exists():
        return 0
    try:
        book = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        found = book.execute("SELECT count(*) FROM samples").fetchone()[0]
        book.close()
    except sqlite3.OperationalError:  # not set up yet
        return 0
    return int(found)


def test_run_tells_thinking_forced_and_answer_apart(tmp_path: Path) -> None:
    question = "Modulo 10: a=7;b=a*3;c=b+9;d=c-4;e=d+1; e=?"
    done = typed("run", question, "--budget", "12", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\[closing: </think>\s*Final Answer:\]\[answer: ", done.stdout)
    assert "12 count against the budget" in done.stdout
    assert "thinking: forced" in done.stdout
    waited = typed("run", question, "--waits", "1", "--temperature", "0", cwd=tmp_path)
    assert "[injected: Wait]" in waited.stdout
    assert "replaced (wait)" in waited.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sweep", "--budgets", "-5"), "-5 is negative"),
        (("sweep", "--budgets", "many"), "'many' is no whole number"),
        (("sweep", "--waits", "none"), "--waits takes whole numbers"),
        (("sweep", "--waits", "1.5"), "'1.5' is no whole number"),
        (("sweep", "--task", "missing.jsonl"), "there is no task file missing.jsonl"),
        (("sweep", "--task", "sudoku"), "--task must be chain, search, gsm8k"),
        (("sweep", "--executor", "moon"), "executor: Input should be 'here', 'processes' or 'ray', got 'moon'"),
        (("sweep", "--grader", "kind"), "grader must be one of same, exact, numeric, choice, math"),
        (("sweep", "nowhere.toml"), "there is no file nowhere.toml"),
        (("sweep", "bad.toml"), "bad.toml: budget: Extra inputs are not permitted, got [1]; known are model, engine"),
        (("sweep", "worse.toml"), "worse.toml: not TOML"),
        (("resume", "nowhere"), "there is no journal nowhere/journal.sqlite"),
        (("report", "nowhere"), "there is no journal"),
        (("compare", "nowhere"), "there is no journal"),
        (("validate", "nowhere"), "there is no file nowhere"),
        (("ls", "nowhere"), "there are no sweeps in nowhere"),
        (("sweep", "--task", "bad.jsonl"), "bad.jsonl, line 1: no answer"),
        (("sweep", "--limit", "0"), "--limit must be >= 1"),
        (("sweep", "--samples", "0"), "samples must be >= 1"),
        (("sweep", "--temperature", "-1"), "temperature must be >= 0"),
        (("sweep", "--prompt", "shout"), "there is no prompt 'shout': take one of none, direct"),
        (("sweep", "--max-new-tokens", "10"), "leaves no room for thinking"),
        (("sweep", "--max-new-tokens", "0"), "max_new_tokens must be a whole number >= 1"),
        (("sweep", "--budgets", "5,5"), "are the same"),
        (("sweep", "--open", "<think>"), "give both --open and --close"),
        (("sweep", "--model", "./nowhere"), "there is no model './nowhere'"),
        (("run", "q", "--model", "unmarked"), "; name them with --open and --close"),
        (("run", "q", "--wait", "Hmm"), "--wait is written where --waits or --min-tokens ask for it"),
        (
            ("run", "q", "--budget", "8", "--max-new-tokens", "20", "--answer-reserve", "30"),
            "tokens, --answer-reserve)",
        ),
        (("run", "q", "--chat-template-kwargs", '{"enable_thinkin": true}'), "does not know 'enable_thinkin'"),
        (("run", "q", "--budget", "-7"), "-7 is negative"),
        (("run", " "), "the question is empty"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "bad.jsonl").write_text('{"question": "q"}\n')
    (tmp_path / "bad.toml").write_text("budget = [1]\n")
    (tmp_path / "worse.toml").write_text("budget =\n")
    if "unmarked" in arguments:
        make_unmarked_model(tmp_path / "unmarked")
    one_sentence(typed(*arguments, cwd=tmp_path), message)


def test_bad_input_is_one_sentence_of_a_process_too(tmp_path: Path) -> None:
    """Nothing that is loaded on the way there says anything either."""
    make_unmarked_model(tmp_path / "unmarked")
    one_sentence(process("run", "q", "--model", "unmarked", cwd=tmp_path), "no thinking markers found")


def one_sentence(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr


def make_unmarked_model(folder: Path) -> None:
    """The embedded model with a chat template that knows no thinking."""
    folder.mkdir()
    for file in embedded.path("hf").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")


def test_a_task_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"id": "one", "question": "Modulo 10: a=7;b=a*3; b=?", "answer": "1"}\n')
    done = typed("sweep", "--task", "mine.jsonl", "--budgets", "32", "--samples", "4", "--out", "o", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o" / "results.csv").read_text().splitlines()[1].startswith("mine,BudgetForcing,32,0,4,")


SWEEP = """
limit = 6
budgets = [0, 16, "none"]
waits = [0]
prompts = ["step-by-step", "draft"]
control = ["LoopBreaker()"]
temperature = 0
"""


@pytest.mark.timeout(900)
def test_a_sweep_from_a_file_and_everything_about_it(tmp_path: Path) -> None:
    (tmp_path / "sweep.toml").write_text(SWEEP.replace("limit", "samples = 0\nlimit"))
    refused = typed("validate", "sweep.toml", cwd=tmp_path)
    assert refused.returncode == 2
    assert "samples must be >= 1" in refused.stderr
    (tmp_path / "sweep.toml").write_text(SWEEP)
    planned = typed("validate", "sweep.toml", cwd=tmp_path)
    assert (planned.returncode, planned.stderr) == (0, "")
    assert "6 questions, 6 settings, 2 prompts, 1 engines, 1 samples: 72 generations" in planned.stdout
    made = typed("sweep", "sweep.toml", "--out", "runs/one", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "runs" / "one"
    first = (folder / "results.csv").read_text()
    assert len(first.splitlines()) == 13
    assert "72/72" in typed("ls", cwd=tmp_path).stdout
    more = typed("resume", "runs/one", "--samples", "2", cwd=tmp_path)
    assert more.returncode == 0, more.stderr
    assert "144/144" in typed("ls", "runs", cwd=tmp_path).stdout
    checked = typed("validate", "runs/one", cwd=tmp_path)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "144 samples, all of them there, none failed" in checked.stdout
    compared = typed("compare", "runs/one", "--against", "3", cwd=tmp_path)
    assert compared.returncode == 0, compared.stderr
    assert "compared with" in compared.stdout
    formats = [word for name in ("jsonl", "lm-eval", "every-eval-ever") for word in ("--format", name)]
    assert typed("report", "runs/one", *formats, cwd=tmp_path).returncode == 0
    assert len(list(folder.glob("results_*.json"))) == len(list(folder.glob("samples_*.jsonl"))) == 12
    other = typed("sweep", "--limit", "6", "--budgets", "24", "--temperature", "0", "--out", "runs/one", cwd=tmp_path)
    assert other.returncode == 0, other.stderr
    assert "150/150" in typed("ls", cwd=tmp_path).stdout, "what was asked for before stays asked for"
    assert len(list(folder.glob("results_*.json"))) == 13, "exports are of what is there now"
    elsewhere = typed("resume", str(folder), cwd=tmp_path.parent)
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert typed("validate", "runs/one", cwd=tmp_path).returncode == 0
    (folder / "results.csv").write_text(first)
    again = typed("validate", "runs/one", cwd=tmp_path)
    assert again.returncode == 2
    assert "results.csv is not what this version of thinkpace makes of the journal" in again.stderr


def same_tables(folder: Path) -> None:
    for name in TABLE_FILES:
        assert (folder / "killed" / name).read_bytes() == (folder / "whole" / name).read_bytes()
