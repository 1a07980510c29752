"""What others read: valid JSON, every sample, and the same numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.toy_engine import ToyEngine

from thinkpace import Sampling
from thinkpace.eval.executors.local import Here
from thinkpace.eval.report.exports import FORMATS
from thinkpace.eval.report.tables import sample_rows
from thinkpace.eval.runs.journal import Entry, Journal
from thinkpace.eval.runs.plan import EngineInfo, Plan
from thinkpace.eval.runs.run import run
from thinkpace.eval.runs.settings import grid
from thinkpace.eval.stats.results import results
from thinkpace.eval.task import Example
from thinkpace.prompts import BARE

# fields of instance_level_eval.schema.json 0.2.2, which allows no others
REQUIRED = {"schema_version", "evaluation_id", "model_id", "evaluation_name", "sample_id", "interaction_type", "input"}
REQUIRED |= {"answer_attribution", "evaluation", "output"}
OPTIONAL = {"sample_hash", "messages", "token_usage", "performance", "error", "metadata", "evaluation_result_id"}
ATTRIBUTION = {"turn_idx", "source", "extracted_value", "extraction_method", "is_terminal"}


@pytest.fixture
def book(tmp_path: Path):  # type: ignore[no-untyped-def]  # a generator of journals
    examples = tuple(Example(f"q{i}", "Q<t>", "7") for i in range(5))
    settings = grid([0, None], [0], final="so", answer_reserve=2)
    plan = Plan("org/toy", examples, settings, (BARE,), Sampling(1.0), 2, 30, 0)
    engine = ToyEngine()
    with Journal(tmp_path / "journal.sqlite") as made:
        run(plan, Here(engine), made, EngineInfo.of(engine, plan.prompts, plan.examples))
        failed = next(made.entries())
        made._db.execute("DELETE FROM samples WHERE point = ? AND question = ? AND sample = ?", failed.key)
        made.write([Entry(*failed.key, failed.seed, "error", {"error": "out of memory", "seconds": 0.1})])
        unused = grid([9], [0], final="so", answer_reserve=2)
        made.begin(
            plan.common, Plan(**plain(plan) | {"settings": unused}).points(EngineInfo.of(engine, (BARE,), ())), ()
        )
        yield made


def plain(plan: Plan) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in plan.__slots__}


def strictly(text: str) -> Any:
    """JSON without what only Python reads."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def lines(path: Path) -> list[dict[str, Any]]:
    return [strictly(line) for line in path.read_text().splitlines()]


def test_lm_eval(book: Journal, tmp_path: Path) -> None:
    written = FORMATS["lm-eval"](book, tmp_path)
    assert len(written) == 4, "two settings that were run; the third was not"
    known = results(book.points, book.entries())
    summaries = [strictly(path.read_text()) for path in written if path.suffix == ".json"]
    assert [s["results"]["org/toy"]["exact_match,none"] for s in summaries] == [r.accuracy for r in known]
    for path in (path for path in written if path.suffix == ".jsonl"):
        samples = lines(path)
        assert len(samples) == 10
        assert {row["doc_id"] for row in samples} == set(range(5))
        for row in samples:
            assert {"doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash"} <= set(
                row
            )
            assert ("exact_match" in row) is (row["verdict"] != "error"), "a failure is no score"
            assert "usage" in row


def test_every_eval_ever(book: Journal, tmp_path: Path) -> None:
    [path] = FORMATS["every-eval-ever"](book, tmp_path)
    rows = lines(path)
    assert len(rows) == 19, "a failure is no score"
    for row in rows:
        assert REQUIRED <= set(row) <= REQUIRED | OPTIONAL
        assert set(row["answer_attribution"][0]) == ATTRIBUTION
        assert all(isinstance(value, str) for value in row["metadata"].values())
        usage = row["token_usage"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        assert 0 <= usage["reasoning_tokens"] <= usage["output_tokens"]
        assert row["performance"]["latency_ms"] > 0


def test_jsonl_and_parquet_hold_the_same(book: Journal, tmp_path: Path) -> None:
    wanted = [json.loads(json.dumps(row)) for row in sample_rows(book.points, book.entries())]
    [path] = FORMATS["jsonl"](book, tmp_path)
    assert lines(path) == wanted
    parquet = pytest.importorskip("pyarrow.parquet", reason="writes Parquet; pip install '.[data]'")
    [path] = FORMATS["parquet"](book, tmp_path)
    rows = parquet.read_table(path).to_pylist()
    assert len(rows) == len(wanted) == 20
    for row, known in zip(rows, wanted, strict=True):
        for name in ("id", "sample", "setting", "verdict", "text", "tokens", "usage", "error"):
            assert row[name] == known.get(name), name
