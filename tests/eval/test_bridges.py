"""lm-evaluation-harness and inspect-ai, each run for real on a local task with the embedded model."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from thinkpace.eval.embedded import problems

needs_lm_eval = pytest.mark.skipif(
    not importlib.util.find_spec("lm_eval"), reason="needs lm-evaluation-harness: pip install '.[lm-eval]'"
)
needs_inspect = pytest.mark.skipif(
    not importlib.util.find_spec("inspect_ai"), reason="needs inspect-ai: pip install '.[inspect-ai]'"
)
theirs = pytest.mark.filterwarnings("default")  # warnings of their libraries

TASK = """
task: chain_local
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
output_type: generate_until
test_split: test
doc_to_text: "Think step by step to answer the following question.\\n{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs:
  until: ["\\n\\n\\n"]
  max_gen_toks: 400
  do_sample: false
filter_list:
  - name: final
    filter:
      - function: regex
        regex_pattern: "Final Answer: (\\\\d+)"
      - function: take_first
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
"""


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    rows = [{"id": e.id, "question": e.question, "answer": e.answer} for e in problems.examples("chain", 12, seed=3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@needs_lm_eval
@theirs
@pytest.mark.timeout(300)
def test_lm_eval_keeps_traces_and_counts(engine: Any, questions: Path, tmp_path: Path) -> None:
    import lm_eval
    from lm_eval.tasks import TaskManager

    from thinkpace.eval.lm_eval_bridge import ThinkpaceLM

    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "chain_local.yaml").write_text(TASK.format(file=questions))
    accuracy = {}
    for budget in (0, 256):
        traces = tmp_path / f"traces{budget}.jsonl"
        model = ThinkpaceLM(control=f"BudgetForcing({budget}, answer_reserve=16)", traces=str(traces), runs=engine)
        manager = TaskManager(include_path=str(tmp_path / "tasks"), include_defaults=False)
        found = lm_eval.simple_evaluate(model, tasks=["chain_local"], task_manager=manager, bootstrap_iters=0)
        accuracy[budget] = found["results"]["chain_local"]["exact_match,final"]
        rows = [json.loads(line) for line in traces.read_text().splitlines()]
        assert [row["doc_id"] for row in rows] == list(range(len(rows))), "E24"
        assert all(row["task"] and row["doc"] for row in rows)
        assert len(rows) == 12
        assert all(row["thinking_tokens"] <= budget for row in rows)
        assert all("<think>" not in row["answer"] for row in rows)
        if budget:
            assert all(row["thinking"] and row["usage"]["thinking"] for row in rows)
    assert accuracy[256] > accuracy[0], "thinking pays, and its traces do not reach the grader"


@needs_lm_eval
@theirs
def test_lm_eval_asks_for_no_likelihoods(engine: Any) -> None:
    from thinkpace.errors import UnsupportedControl
    from thinkpace.eval.lm_eval_bridge import ThinkpaceLM

    with pytest.raises(UnsupportedControl, match="compare likelihoods"):
        ThinkpaceLM(runs=engine).loglikelihood([])


@needs_inspect
@theirs
@pytest.mark.timeout(300)
def test_inspect_keeps_reasoning_and_counts(questions: Path, tmp_path: Path) -> None:
    import inspect_ai
    from inspect_ai.dataset import FieldSpec, json_dataset
    from inspect_ai.scorer import includes

    from thinkpace.eval.inspect_bridge import controlled

    data = json_dataset(str(questions), FieldSpec(input="question", target="answer", id="id"))
    for sample in data:
        sample.input = f"Think step by step to answer the following question.\n{sample.input}"
    solver = controlled("BudgetForcing(24, answer_reserve=16)")
    [log] = inspect_ai.eval(
        inspect_ai.Task(data, solver=solver, scorer=includes()),
        model="thinkpace/embedded",
        temperature=0.0,
        max_tokens=200,
        log_dir=str(tmp_path / "logs"),
        display="none",
    )
    assert log.status == "success", log.error
    assert log.samples is not None
    assert len(log.samples) == 12
    for sample in log.samples:
        usage = sample.output.usage
        assert usage is not None
        assert 0 < (usage.reasoning_tokens or 0) <= 24
        assert sample.output.message.content[0].type == "reasoning"
        assert sample.output.metadata is not None
        assert sample.output.metadata["end"] in ("forced", "natural")
        assert sample.output.metadata["armed"] == ["BudgetForcing(max_tokens=24, answer_reserve=16)"]


@needs_inspect
@theirs
def test_inspect_is_told_of_mistakes_before_anything_is_generated() -> None:
    from thinkpace.eval.inspect_bridge import controlled

    with pytest.raises(ValueError, match="ThinkBudge"):
        controlled("ThinkBudge(24)")
