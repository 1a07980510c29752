"""Answers are taken from the answer part only, and a failure is no verdict on the model."""

from __future__ import annotations

from typing import Any

import pytest

from thinkpace import BudgetForcing, Markers, Sampling
from thinkpace.adapters.scripted import ScriptedEngine, WordVocabulary, says
from thinkpace.eval.grading.compare import same
from thinkpace.eval.grading.extract import check_rules, extract, rules_for, rules_of
from thinkpace.eval.grading.grader import Grading
from thinkpace.eval.grading.rules import RULES
from thinkpace.eval.runs.judge import graded_entries
from thinkpace.eval.runs.settings import Setting
from thinkpace.eval.runs.unit import PointJob, RawSample, WorkUnit, run_unit
from thinkpace.eval.task import Example
from thinkpace.prompts import BARE


def answer_of(answer: str, **given: Any) -> str | None:
    found = extract(answer, **given)
    return None if found is None else found.answer


WORDS = WordVocabulary(("<eos>", "<t>", "</t>", "Final", " Answer:", " 7"))


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("\nFinal Answer: 7", "7"),
        ("Final Answer:7", "7"),
        ("Final Answer: 3\nNo. Final answer: 4", "4"),
        ("Final Answer: $\\boxed{12}$", "12"),
        ("so \\boxed{1}, hence \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("20 - x = 12; x = 8. #### 8", "8"),
        ("Final Answer:", None),
        ("**Final Answer:** 42", "42"),
        ("**Final Answer**: 42", "42"),
        ("Final Answer: **42**", "42"),
        ("Final Answer: \\(42\\)", "42"),
        ("\\boxed{42}\nFinal Answer:", "42"),
        ("\\boxed{}", None),
        ("\\boxed{1", None),
        ("no idea", None),
        ("Yes.", "Yes."),
        ("**05/23/1943**\n", "05/23/1943"),
        ("Answer:", None),
        ("####", None),
        ("#### 8\nthat is all", "8"),
        ("#### Step 1\nadd\n#### Conclusion\n\\boxed{8}", "8"),
        ("#### $\\boxed{8}$", "8"),
        ("Final Answer:\n\n42", "42"),
        ("**Final Answer:**\n18", "18"),
        ("### Final Answer\n\n### 5", "5"),
        ("Final Answer： 42", "42"),
        ("Final Answer:\nWe have\n\\boxed{5}", "5"),
        ("#### 42\n\n#### Verification\nok 43", "42"),
        ("#### 2. Compute\n6 * 7\n\n#### 42 apples", "42 apples"),
        ("#### 3 Conclusion\nThe answer is 8.", "8"),
        ("#### -1,234.5", "-1,234.5"),
        ("#### Step 1\n20+20\n#### Step 2\nThe answer is 40.", "40"),
        ("My answer is below:\n\n5", None),
        ("Final Answer: \\(x\\) = \\(5\\)", "\\(x\\) = \\(5\\)"),
        ("Final Answer: $1,234", "1,234"),
        ("\\boxed{a \\text{ if } x\\} y} z", "a \\text{ if } x\\} y"),
        ("", None),
    ],
)
def test_extract(answer: str, found: str | None) -> None:
    assert answer_of(answer) == found


BOTH = "\\boxed{1} #### 2"


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        (rules_for("numeric", "hashes"), "2"),
        (rules_for("numeric"), "1"),
        (rules_for("math", "boxed"), "1"),
        (("boxed",), "1"),
        (("hashes", "boxed"), "2"),
        (("said",), None),
        (("final", "formula"), None),
    ],
)
def test_each_task_looks_where_its_authors_do_first(rules: tuple[str, ...], found: str | None) -> None:
    assert answer_of(BOTH, rules=rules) == found
    assert answer_of(BOTH, written=" 3\n\\boxed{4}", rules=("written", *rules)) == "3"


def test_every_rule_is_tried_in_the_end() -> None:
    tried = {rule for grader in ("same", "math", "choice") for rule in rules_for(grader)}
    assert tried == set(RULES) - {"flexible"}, "the last number is a guess: only if it is asked for"


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("(A) is wrong. So \\boxed{\\text{B}}", "B"),
        ("\\boxed{\\text{(B)}}", "B"),
        ("$\\mathbf{C}$", "C"),
        ("(A) is wrong. The answer is option B.", "B"),
        ("(A) is wrong. The correct answer is: **Option B**", "B"),
        ("I think the answer is I am not sure, (B)", "B"),
        ("The answer is (B).\nI hope the answer is clear.", "B"),
    ],
)
def test_a_choice_is_a_letter(answer: str, letter: str) -> None:
    assert answer_of(answer, grader="choice") == letter


def test_a_number_has_a_digit() -> None:
    assert answer_of("The answer is: 5\n\nI hope the answer is clear.", grader="numeric") == "5"
    assert answer_of("The answer is unknown.", grader="numeric") == "unknown", "if nothing has one"


@pytest.mark.parametrize("grader", ["math", "same", "numeric"])
@pytest.mark.parametrize(
    ("text", "answer", "rule"),
    [
        ("It is $\\boxed{220}$.\n\nIn the final answer, leading zeros are dropped.", "220", "boxed"),
        ("So $\\boxed{5}$ is the final answer.", "5", "boxed"),
        ("#### 18\nThis is the final answer.", "18", "hashes"),
        ("The answer is 18. Only the final answer was rounded, to 2 decimals.", "18", "said"),
        ("The final answer is 42.", "42", "said"),
        ("Final Answer: The final answer is $5$. I hope it is correct.", "5", "final"),
        ("So. The final answer is $5$. I hope it is correct.", "5", "minerva"),
        ("Answer: 12", "12", "labelled"),
        ("**Answer:** 12", "12", "labelled"),
        ("ANSWER: 12", "12", "labelled"),
        ("Thus.\n\n### Answer\n\n12", "12", "labelled"),
        ("thus <answer>12</answer>", "12", "tagged"),
        ("<answer> \\boxed{12} </answer>", "12", "boxed"),
        ("thus \\fbox{12}", "12", "boxed"),
        ("thus $\\boxed 7$.", "7", "boxed"),
        ("thus \\boxed 7.", "7", "boxed"),
        ("\\boxed{1} and $\\boxed{2}$", "1, 2", "boxed"),
        ("\\boxed{1}, so \\boxed{2}", "2", "boxed"),
    ],
)
def test_published_formats_and_prose(text: str, answer: str, rule: str, grader: str) -> None:
    """E1: "final answer" in prose beat a box, "####" and "answer is". E2: some formats were not found at all."""
    found = extract(text, grader=grader)
    assert found is not None
    assert (found.answer, found.rule) == (answer, rule)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("Answer: B", "B"),
        ("Answer: $B$", "B"),
        ("B. Paris", "B"),
        ("**B.** Paris", "B"),
        ("It is the second one.\n\nB) Paris", "B"),
        ("The correct option is **D**", "D"),
        ("I think that the best option is C", "C"),
        ("A. London\nB. Paris", None),
        ("A right triangle", None),
    ],
)
def test_published_formats_of_choices(text: str, letter: str | None) -> None:
    assert answer_of(text, grader="choice") == letter


def test_the_last_number_as_lm_eval_takes_it() -> None:
    text = "It costs $1,200 for 3 days, or $3,600."
    assert answer_of(text, rules=("flexible",), grader="numeric") == "3,600"
    assert answer_of(text, grader="numeric") is None


@pytest.mark.parametrize("text", ["Final Answer: .", "#### ...", "\\boxed{,}", "The answer is: **", "Answer: --"])
def test_a_find_without_content_is_none(text: str) -> None:
    assert extract(text) is None
    assert answer_of(f"{text}\n\nA: 7") == "7", "the next rule is tried"


def test_what_a_control_wrote_counts_where_it_wrote_it() -> None:
    """A "Final Answer:" that was written at the limit, not one that the model talks about later."""
    words = WordVocabulary(("<eos>", "<t>", "</t>", "Final Answer:", " 7", " 3", "so", "\n"))
    script = words.encode("soso") + words.encode(" 7\nFinal Answer: 3")
    engine = ScriptedEngine(says(script, words.size, 0), words, Markers("<t>", "</t>"))
    for final, answer, rule in (("Final Answer:", "7", "written"), (None, "3", "final")):
        setting = Setting((BudgetForcing(2, wait=None, final=final, answer_reserve=0),))
        unit = WorkUnit(
            BARE, (PointJob("p", setting),), (Example("q", "<t>", "7"),), 0, Sampling(0.0), 12, 0, (), "same"
        )
        [made] = run_unit(engine, unit)
        assert (made.row["extracted"], made.row["rule"]) == (answer, rule), made.row["text"]


CIRCLES = (
    *("\\boxed{", "So \\boxed{1. Wait. ", "\\boxed{{}", "\\( x ", "\\[", "\\(", "$", "Final Answer:\n", "#### ", "*"),
    *("The final answer is ", "<answer>", "Answer:\n", "\\boxed ", "**answer\n", "B.\n", "option is ", "\\boxed{1}, "),
)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", CIRCLES)
def test_a_text_that_goes_round_in_circles_takes_no_time(piece: str) -> None:
    """Quadratic time made minutes of it, in a process that nothing kills."""
    extract(piece * (200_000 // len(piece)), grader="math")
    extract(piece * (200_000 // len(piece)) + "}" * 10_000, grader="choice")


@pytest.mark.parametrize("text", ["", "hash", "hashes,,boxed", "boxed,boxed"])
def test_no_rules(text: str) -> None:
    with pytest.raises(ValueError, match=r"rules must be some of written, final|given twice"):
        rules_of(text)
    with pytest.raises(ValueError, match="got none"):
        check_rules(())


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("7", "7", True),
        ("7.0", "7", True),
        ("1,234", "1234", True),
        ("1234 apples", "1234", False),  # a known harness defect reads this as 123
        ("-5", "5", False),
        ("12", "123", False),
        ("Yes", "yes.", True),
        ("1,2", "12", False),
    ],
)
def test_same(one: str, other: str, equal: bool) -> None:
    assert same(one, other) is equal
    assert same(other, one) is equal


def sample(extracted: str | None, finish: str = "stop") -> RawSample:
    return RawSample("p", "q", 0, 0, {"extracted": extracted, "finish_reason": finish})


def test_verdicts() -> None:
    made = [sample("7"), sample("8"), sample(None), sample(None, "length"), RawSample("p", "q", 0, 0, {"error": "x"})]
    with Grading("same") as grading:
        entries = list(graded_entries(made, {"q": "7"}, grading))
    assert [entry.verdict for entry in entries] == ["right", "wrong", "no_answer", "truncated", "error"]
    assert entries[0].row["expected"] == "7"


def test_thoughts_are_no_answer() -> None:
    """A trace that never closed holds an answer in its thoughts: it is truncated, not graded."""
    engine = ScriptedEngine(says(WORDS.encode("Final Answer: 7"), WORDS.size, 0), WORDS, Markers("<t>", "</t>"))
    unit = WorkUnit(
        BARE, (PointJob("p", Setting(())),), (Example("q", "<t>", "7"),), 0, Sampling(0.0), 3, 0, (), "same"
    )
    with Grading("same") as grading:
        [entry] = graded_entries(run_unit(engine, unit), {"q": "7"}, grading)
    assert (entry.row["text"], entry.verdict, entry.row["extracted"]) == ("Final Answer: 7", "truncated", None)
