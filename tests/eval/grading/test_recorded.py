"""Recorded outputs are graded as people graded them; what a grader cannot tell is no verdict."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from support.places import SHARED
from typer.testing import CliRunner

from thinkpace import Markers
from thinkpace.eval.cli.app import app
from thinkpace.eval.grading import recorded
from thinkpace.eval.grading.answer_part import answer_part
from thinkpace.eval.grading.compare import choice, known_answer, number, numeric
from thinkpace.eval.grading.extract import extract
from thinkpace.eval.grading.math import MathGrader, equal

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not beside this checkout")


@pytest.mark.parametrize(
    ("text", "opened", "answer"),
    [
        ("<think>a</think>b", None, "b"),
        ("a</think>b", None, "b"),  # the prompt had opened it
        ("b", None, "b"),
        ("b", True, None),
        ("<think>a", None, None),
        ("<think>a</think>b</think>c", None, "b</think>c"),  # a known harness loses what stands before the last one
        ("<think>a</think>b<think>c</think>d", None, "d"),
        ("<think>a</think>b<think>c", None, None),
        ("b<think>", False, None),
        ("", None, ""),
    ],
)
def test_the_answer_part(text: str, opened: bool | None, answer: str | None) -> None:
    assert answer_part(text, "<think>", "</think>", opened) == answer


@pytest.mark.parametrize(
    ("answer", "grader", "found"),
    [
        ("2 + 2 = 4\nA: 4", "numeric", "4"),
        ("So the answer is (B).", "choice", "B"),
        ("So the answer is 3.14.", "numeric", "3.14"),
        ("(A) is wrong, (C) it is", "choice", "C"),
        ("B.", "choice", "B"),
        ("Because of that", "choice", None),
        ("So the answer is yes.", "exact", "yes"),
        ("thus \\(x = 3\\) or \\[ y = \\frac{1}{2} \\]", "math", "y = \\frac{1}{2}"),
        ("thus \\(x = 3\\)", "numeric", None),
        ("\\boxed{\\text{(B)}} and the answer is C", "exact", "\\text{(B)}"),
    ],
)
def test_places_of_answers(answer: str, grader: str, found: str | None) -> None:
    made = extract(answer, grader=grader)
    assert (made and made.answer) == found


def test_numbers_and_choices() -> None:
    assert numeric("18 dollars", "#### 18".rpartition(" ")[2])
    assert numeric("\\$1{,}234", "1,234")
    assert not numeric("1234 apples in 2 bags", "1234")
    assert numeric("\u22125", "-5")
    assert not numeric("\u22125", "5")
    assert numeric("-$5", "-5")
    assert numeric("The answer is 9 * 2 = 18.", "18")
    assert numeric("1/2", "0.5")
    assert numeric("0.5", "1/2")
    assert numeric("1.8e1", "18")
    assert numeric("about 1,200 / 4 apples", "300")
    assert not numeric("1/0", "0")
    assert number("05/23/1943") is None
    assert number("18 = 2") == 2
    assert number("\\frac12") is None
    assert number("x^2") is None
    assert numeric("90^\\circ", "90")
    assert number("x = -3.50") == number("-3.5")
    assert choice("(b)", "B")
    assert not choice("A", "B")
    assert known_answer("two\nA: 2") == known_answer("it is\n#### 2") == known_answer(" 2 ") == "2"


def rows(*texts: str, answer: Any = "1/2", **fields: Any) -> list[dict[str, Any]]:
    return [{"id": str(i), "answer": answer, "text": text, **fields} for i, text in enumerate(texts)]


def test_verdicts_of_mathematics() -> None:
    found = recorded.graded(
        rows("\\boxed{0.5}", "\\boxed{\\dfrac12}", "<think>\\boxed{0.5}", "no idea", "\\boxed{2}"), "math", workers=1
    )
    assert [row["verdict"] for row in found] == ["right", "right", "truncated", "no_answer", "wrong"]
    assert [row["extracted"] for row in found] == ["0.5", "\\dfrac12", None, None, "2"]


SAME = [
    ("pi/2", r"\frac{\pi}{2}"), ("288pi", r"288\pi"), ("√2", r"\sqrt{2}"), ("√(n+1)", r"\sqrt{n+1}"),
    ("½", r"\frac12"), ("11 5/6", r"\frac{71}{6}"), ("-1 1/2", "-1.5"), (r"\frac{1}{\sqrt n}", r"\sqrt{1/n}"),
    ("x<2", r"(-\infty,2)"), (r"-1 \le x < 2", "[-1,2)"), ("1e3", "1000"), ("1.5e-2", "0.015"),
    (r"0.1\overline{6}", r"\frac16"), (r"\overline{AB}", r"\overline{AB}"), (r"\textbf{(B)}\ 12", r"\text{B}"),
    (r"1+\frac{1}{\mathrm e}", r"1+\frac1e"), (r"5\text{ cm}", "5"), ("5 cm", r"5\text{ centimeters}"),
    (r"198", r"198\%"), (r"\frac{1}{2006!}", r"\frac{1}{2006!}"), (r"2^{-98}", r"\frac{1}{2^{98}}"),
    ("90", r"90^\circ"), (r"\sqrt{8}", r"2\sqrt{2}"),
]  # fmt: skip
DIFFERENT = [
    (r"\frac{1}{2006!}", r"\frac{1}{2004!}"), (r"\frac{1}{2^{98}}", r"\frac{1}{2^{99}}"), ("1e-9", "1e-8"),
    (r"1+\frac{1}{\mathrm e}", r"1-\frac{1}{\mathrm e}"), (r"4\sqrt(2)", "4"), ("0.33333333", r"\frac13"),
    ("3.1415927", r"\pi"), (r"5\text{ cm}", r"5\text{ m}"), ("5 hours", "5 minutes"), ("x", r"\sqrt{x^2}"),
    ("x<2", r"(-\infty,2]"), ("x>2", r"(-\infty,2)"), (r"\textbf{(C)}\ 12", r"\text{B}"), ("11 5/6", r"\frac{55}{6}"),
    (r"n", r"\sqrt{1/n}"),
]  # fmt: skip


@pytest.mark.parametrize(("found", "known"), SAME)
def test_what_math_verify_takes_for_different(found: str, known: str) -> None:
    """E3: right answers were wrong."""
    pytest.importorskip("math_verify")
    assert equal(found, known)


@pytest.mark.parametrize(("found", "known"), DIFFERENT)
def test_what_math_verify_takes_for_the_same(found: str, known: str) -> None:
    """E3: wrong answers were right, since tiny numbers are rounded, and units and some commands are dropped."""
    pytest.importorskip("math_verify")
    assert not equal(found, known)


def test_an_answer_that_never_ends_is_an_error_and_holds_nobody_up() -> None:
    began = time.monotonic()
    found = recorded.graded(rows("\\boxed{9^{9^{9^{9^9}}}}", "\\boxed{0.5}"), "math", workers=1, timeout=4)
    assert [row["verdict"] for row in found] == ["error", "right"]
    assert "4 s" in found[0]["error"]
    assert time.monotonic() - began < 60


def test_what_a_grader_cannot_read_is_an_error() -> None:
    [found] = recorded.graded(rows("Final Answer: 3", answer="three"), "numeric")
    assert found["verdict"] == "error"
    assert "'three' is no number" in found["error"]


def test_cut_off_texts_are_truncated() -> None:
    found = recorded.graded(rows("I think", finish_reason="length"), "exact")
    assert found[0]["verdict"] == "truncated"
    found = recorded.graded(rows("I think"), "exact", markers=Markers("<think>", "</think>", opened_by_prompt=True))
    assert found[0]["verdict"] == "truncated"


def test_the_command(tmp_path: Path) -> None:
    file, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    file.write_text("".join(json.dumps(row | {"mine": 1}) + "\n" for row in rows("A: 2", "A: 3", answer=2)))
    done = CliRunner().invoke(app, ["grade", str(file), "--grader", "numeric", "--out", str(out)])
    assert done.exit_code == 0, done.output
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["verdict"], row["extracted"], row["mine"]) for row in found] == [("right", "2", 1), ("wrong", "3", 1)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1: not JSON"),
        ("[]", "line 1: expected an object"),
        ('{"id": "1", "answer": "2"}', "line 1: no text"),
        ('{"id": "1", "answer": null, "text": ""}', "line 1: answer must be"),
        ('{"id": "1", "answer": "2", "text": 3}', "line 1: text must be"),
        ("", "holds no outputs"),
    ],
)
def test_a_bad_file_is_named_by_its_line(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "in.jsonl").write_text(line)
    with pytest.raises(ValueError, match=said):
        recorded.read(tmp_path / "in.jsonl")


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="grader must be one of"):
        recorded.graded(rows("a"), "fuzzy")


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SHARED / path).read_text().splitlines()]


def disagreements(given: list[tuple[str, str, str, bool]], grader: str) -> list[str]:
    """What people and the grader see differently, of (id, known, text, whether it was labelled right)."""
    found = recorded.graded([{"id": i, "answer": a, "text": t} for i, a, t, _ in given], grader)
    return [row["id"] for row, (*_, right) in zip(found, given, strict=True) if (row["verdict"] == "right") != right]


@needs_shared
def test_labels_of_gsm8k() -> None:
    models = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    given = [
        (f"{i} {model}", row["ground_truth"], row[model]["solution"], row[model]["is_correct"])
        for i, row in enumerate(lines("gsm8k/example_model_solutions.jsonl"))
        for model in models
    ]
    assert len(given) == 2640
    assert disagreements(given, "numeric") == []


@needs_shared
def test_labels_of_traces_with_their_adjudications() -> None:
    folder = "r1_traces_math500"
    read_again = {
        (row["file"], row["item_id"]): row["adjudicated"]
        for row in json.loads((SHARED / folder / "adjudicated_recorded_wrong.json").read_text())
    }
    files = sorted(path.stem for path in (SHARED / folder).glob("*.jsonl"))
    given = [
        (
            f"{name} {row['item_id']}",
            row["ground_truth"],
            row["full_response"],
            read_again.get((name, row["item_id"]), row["is_correct"]),
        )
        for name in files
        for row in lines(f"{folder}/{name}.jsonl")
    ]
    assert len(given) == 35
    assert disagreements(given, "math") == []


@needs_shared
def test_labels_of_math_samples() -> None:
    given = [
        (f"{row['idx']} {k}", row["answer"], row["code"][k], row["score"][k])
        for row in lines("rm_bon_math100x8/math_cot.jsonl")
        for k in range(8)
    ]
    assert len(given) == 400
    assert disagreements(given, "math") == []


def test_a_grading_process_that_is_killed_at_rest_is_replaced() -> None:
    """One that had nothing to do took the whole sweep with it."""
    with MathGrader(workers=1) as grader:
        assert [*grader.all([("0.5", "1/2")])] == [True]
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGKILL)
        time.sleep(1)
        assert [*grader.all([("0.5", "1/2"), ("1", "2")])] == [True, False]
