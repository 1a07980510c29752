"""The doctor: every line says what works or what to do, and the exit code tells."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from support.commands import typed
from support.places import SHARED
from support.real_vocabularies import FILES, needs_shared, vocabulary

from thinkpace import BudgetForcing, Markers, MissingExtra, StructuredAnswer, SuppressExpressions, ThinkBudget
from thinkpace.eval.doctor import all_work, check_model
from thinkpace.testing import VOCABULARY

TEMPLATE = "{{ messages[-1].content }}{% if add_generation_prompt %}<think>\n{% endif %}{# </think> #}"


def doctor(*arguments: str) -> subprocess.CompletedProcess[str]:
    return typed("doctor", *arguments, cwd=Path.cwd())


def test_the_embedded_model_honours_everything() -> None:
    done = doctor()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "refused" not in done.stdout.replace("refused: continuous batching", "")
    for kind in ("ThinkBudget", "ThoughtSwitchPenalty", "StructuredAnswer", "LoopBreaker", "generate_batch"):
        assert kind in done.stdout


@pytest.mark.parametrize(
    ("control", "said"),
    [
        ("BudgetForcing(wait='</think>')", "wait must not hold the closing marker"),
        ("ThinkBudget(4) + BudgetForcing(4)", "only one control can decide"),
        ("DraftLimit(separators=('many tokens here',))", "no single token for the separator"),
    ],
)
def test_what_cannot_work_is_refused_and_the_exit_code_says_so(control: str, said: str) -> None:
    done = doctor("--control", control)
    assert done.returncode == 1, done.stderr
    assert said in done.stdout


def test_what_cannot_be_read_is_a_sentence() -> None:
    done = doctor("--control", "Nothing(3)", "--control", "LoopBreaker")
    assert done.returncode == 1
    assert "Nothing(3): unknown control 'Nothing'" in done.stdout
    assert "LoopBreaker(): as described" in done.stdout, "one that cannot be read hides no other"
    assert doctor("--model", "/nowhere").returncode == 2


@needs_shared
@pytest.mark.parametrize("name", list(FILES))
def test_real_vocabularies_marker_by_marker(name: str) -> None:
    findings = check_model(vocabulary(name), TEMPLATE, usual=True, context_tokens=40_960)
    assert all_work(findings), [finding for finding in findings if finding.verdict == "refused"]
    [opened] = [finding.says for finding in findings if finding.subject == "open"]
    assert ("one token" in opened) == (name != "qwen2.5")
    [prompt] = [finding.says for finding in findings if finding.subject == "the generation prompt, to thinking"]
    assert prompt == "opens"


@needs_shared
def test_all_templates_are_examined_without_a_wrong_word() -> None:
    rows = json.loads((SHARED / "chat_templates" / "reasoning_templates.json").read_text())
    known = {file: row for row in rows for file in row["files"]}
    for path in sorted((SHARED / "chat_templates" / "templates").glob("*.jinja")):
        findings = check_model(vocabulary("qwen3"), path.read_text(), controls=[[ThinkBudget(64)]])
        markers = {finding.subject: finding for finding in findings if finding.topic == "markers"}
        if "thinking" in markers:
            assert "pass markers=" in markers["thinking"].says
            assert not all_work(findings)
            continue
        start = known[path.name]["start"].replace("\\n", "\n").strip()
        assert markers["open"].says.startswith(repr(start))
        usual = known[path.name]["generation prompt (default kwargs)"]
        [says] = [finding.says for finding in findings if finding.subject == "the generation prompt, to thinking"]
        expected = "opens" if "PRE-OPENED" in usual else "closes" if "CLOSED" in usual else "leaves it to the model"
        assert says.startswith(expected), path.name


def test_no_template_and_given_markers() -> None:
    assert "no chat template" in check_model(VOCABULARY, None)[-1].says
    markers = Markers("<t>", "</t>")
    found = check_model(
        VOCABULARY, None, markers=markers, controls=[[SuppressExpressions(("so",))], [BudgetForcing(5)]]
    )
    control, other = (finding for finding in found if finding.topic == "control")
    assert control.says == "1 vocabulary entry cannot come"
    assert other.verdict == "refused", "this vocabulary cannot spell the final text"
    assert not all_work(found)


def test_a_missing_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_without(*_: object) -> None:
        raise MissingExtra("this control", "math")

    monkeypatch.setattr(StructuredAnswer, "compile", compile_without)
    markers = Markers("<t>", "</t>")
    found = check_model(VOCABULARY, None, markers=markers, controls=[[StructuredAnswer(choices=("7",))]])
    [control] = [finding for finding in found if finding.topic == "control"]
    assert control.says.endswith("[math]'")


def test_a_folder_with_a_tokenizer_alone(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from thinkpace.eval import embedded

    AutoTokenizer.from_pretrained(embedded.path("hf")).save_pretrained(tmp_path)
    done = doctor("--model", str(tmp_path), "--control", "ThinkBudget(context_share=0.5)")
    assert done.returncode == 1
    assert "needs to know how many tokens the model can hold" in done.stdout
