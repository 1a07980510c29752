"""Task files of every form, and the published tasks from theirs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.places import SHARED

from thinkpace.eval.grading.compare import exact
from thinkpace.eval.grading.extract import extract, rules_for
from thinkpace.eval.grading.rules import RULES
from thinkpace.eval.task import Example
from thinkpace.eval.tasks.load import load
from thinkpace.eval.tasks.registry import KNOWN, task_of


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no questions"),
        ('{"question": "q"}', "line 1: no answer"),
        ('{"question": "q", "answer": " "}', "line 1: answer is empty"),
        ('{"question": "q", "answer": null}', "line 1: no answer: answer is null"),
        (
            '{"question": "q", "answr": "1"}',
            "line 1: no answer: .*the row has 'question', 'answr'",
        ),
        ('{"question": "q", "answer": ["1", "2"]}', "line 1: answer is a list of 2"),
        ('{"question": "q", "answer": {"a": 1}}', 'line 1: answer must be a text or a number, got {"a": 1}'),
        ('{"question": "q", "answer": true}', "line 1: answer must be a text or a number, got true"),
        ('{"question": "q", "choices": ["a", "b"], "answer": 1}', "line 1: the answer 1 is a place in choices"),
        ('\n{"answer": "1"}', "line 2: no question"),
        ("[1]", "line 1: expected an object"),
        ('{"question": "q", "answer": NaN}', "line 1: answer is empty"),
        ('{"question": "q", "answer": 1e400}', "line 1: answer is empty"),
        ('{"id": {}, "question": "q", "answer": 1}', "line 1: the id must be"),
        ('{"question": "q", "answer": "work #### "}', "line 1: no answer"),
        ("{", "line 1: not JSON"),
        ('{"question": "\\ud800x", "answer": "1"}', "line 1: not JSON"),
        (
            '{"id": 1, "question": "q", "answer": 1}\n{"id": "1", "question": "r", "answer": 2}',
            "line 2: the id '1' was used",
        ),
    ],
)
def test_bad_task_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "task.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load(path)


def test_a_list_of_one_answer_is_that_answer(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"question": "q", "targets": ["7"]}')
    assert load(tmp_path / "t.jsonl")[0].answer == "7"


def test_a_csv_with_semicolons_is_told(tmp_path: Path) -> None:
    """E21: it said "line 2: no answer"."""
    (tmp_path / "t.csv").write_text("question;answer\nq;7\n")
    with pytest.raises(ValueError, match="'question', 'answer', separated by another sign than a comma"):
        load(tmp_path / "t.csv")


def test_good_task_files(tmp_path: Path) -> None:
    path = tmp_path / "task.jsonl"
    path.write_text('{"question": "q", "answer": 4}\n\n{"id": "x", "question": "r", "answer": "5"}\n')
    assert load(path) == [Example("line 1", "q", "4"), Example("x", "r", "5")]
    path.write_text('\ufeff{"id": "2", "question": "a\u2028b", "answer": 4}\n{"question": "r", "answer": "5"}\n')
    assert [example.id for example in load(path)] == ["2", "line 2"]


def test_the_same_questions_in_every_form(tmp_path: Path) -> None:
    wanted = [Example("a", "1, 2 or\n3?", "2"), Example("b", 'say "x"', "#x")]
    (tmp_path / "t.jsonl").write_text(
        '{"id": "a", "problem": "1, 2 or\\n3?", "answer": 2.0}\n{"id": "b", "problem": "say \\"x\\"", "answer": "#x"}'
    )
    (tmp_path / "t.json").write_text(
        '{"examples": [{"id": "a", "input": "1, 2 or\\n3?", "target": 2}, '
        '{"id": "b", "input": "say \\"x\\"", "target": "#x"}]}'
    )
    (tmp_path / "t.csv").write_text('id,question,answer\na,"1, 2 or\n3?",2\nb,"say ""x""",#x\n')
    for form in ("jsonl", "json", "csv"):
        assert load(tmp_path / f"t.{form}") == wanted
    pa = pytest.importorskip("pyarrow", reason="reads Parquet; pip install '.[data]'")
    from pyarrow import parquet

    rows = [{"id": e.id, "question": e.question, "answer": e.answer} for e in wanted]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet") == wanted


@pytest.mark.parametrize(
    ("name", "file", "count", "first"),
    [
        ("gsm8k", "gsm8k/test.jsonl", 1319, "18"),
        ("math500", "math500/math500.jsonl", 500, r"\left( 3, \frac{\pi}{2} \right)"),
        ("aime24", "math_benchmarks/qwen2.5-math/aime24.jsonl", 30, "204"),
        ("aime25", "math_benchmarks/deer/aime25.jsonl", 30, "468"),
        ("amc23", "math_benchmarks/qwen2.5-math/amc23.jsonl", 40, "27"),
        ("bbh-date", "bbh/date_understanding.json", 250, "(B)"),
        ("bbh-sports", "bbh/sports_understanding.json", 250, "no"),
    ],
)
def test_published_tasks_from_their_files(name: str, file: str, count: int, first: str) -> None:
    if not SHARED.is_dir():
        pytest.skip("the tasks' own files are not in this checkout")
    task = task_of(name, SHARED / file)
    assert task.official in RULES
    assert (len(task.examples), task.examples[0].answer, task.grader) == (count, first, KNOWN[name].grader)
    assert len(task_of(name, SHARED / file, limit=3).examples) == 3


def test_chain_of_drafts_own_files(tmp_path: Path) -> None:
    """Coins with examples in an object; BIG-bench's choices with scores."""
    coin = tmp_path / "coin_flip_4.json"
    question = "A coin is heads up. Ann flips the coin. Bob does not flip the coin. Is the coin still heads up?"
    coin.write_text(json.dumps({"flip_count": 4, "examples": [{"question": question, "answer": "No"}]}))
    task = task_of("coin-flip", coin)
    assert task.examples == (Example("row 1", question, "No"),)
    answer = "Total flip count: 1; odd number; Tails up. \n#### No"
    found = extract(answer, rules=rules_for(task.grader, task.official))
    assert found is not None
    assert exact(found.answer, task.examples[0].answer)
    date = tmp_path / "date.json"
    date.write_text('{"examples": [{"input": "Which?", "target_scores": {"04/29/2021": 0, "05/01/2021": 1}}]}')
    assert load(date) == [Example("row 1", "Which?", "05/01/2021")]
    date.write_text('{"examples": [{"input": "Which?", "target_scores": {"04/29/2021": 0}}]}')
    with pytest.raises(ValueError, match="row 1: target_scores gives 1 to 0 choices"):
        load(date)
    date.write_text('{"examples": [{"input": "q", "answer": null, "target_scores": {"A: x": 1}}]}')
    assert load(date)[0].answer == "A: x"
    date.write_text('{"examples": [{"input": "q", "target": "other", "target_scores": {"x": 1}}]}')
    assert load(date)[0].answer == "other"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("sudoku", None, "--task must be chain, search, gsm8k"),
        ("chain", Path("x.jsonl"), "--data goes with one of the tasks"),
        ("questions.txt", None, "--task must be"),
    ],
)
def test_what_is_no_task(name: str, data: Path | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task_of(name, data)


def test_odd_tables(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,question,answer\n,one\u2028line,1\n,two,2\n")
    assert load(path) == [Example("line 2", "one\u2028line", "1"), Example("line 3", "two", "2")]
    path.write_text("question,answer\n" + "x" * 200_000 + ",1\n")
    with pytest.raises(ValueError, match=r"line \d+: not CSV"):
        load(path)
    deep = tmp_path / "t.json"
    deep.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="not JSON"):
        load(deep)
    deep.write_text('[{"question": "\\ud800", "answer": "1"}]')
    with pytest.raises(ValueError, match="not JSON"):
        load(deep)
