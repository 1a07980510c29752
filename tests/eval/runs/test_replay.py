"""A replayed run is the run: the same tokens where decoding is greedy, the same distribution where it is not."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.enumeration import MARKERS, OPEN, VOCABULARY, Output, Walk, logits

from thinkpace import (
    BudgetForcing,
    Completion,
    Control,
    Request,
    Sampling,
    SuppressExpressions,
    ThinkBudget,
    ThoughtSwitchPenalty,
)
from thinkpace.adapters.scripted import ScriptedEngine
from thinkpace.eval.embedded import problems
from thinkpace.eval.executors.local import Here
from thinkpace.eval.report import tables
from thinkpace.eval.runs.journal import Journal
from thinkpace.eval.runs.plan import EngineInfo, Plan
from thinkpace.eval.runs.replay import shared_prefix
from thinkpace.eval.runs.run import run
from thinkpace.eval.runs.settings import grid, with_controls
from thinkpace.eval.stats.results import results
from thinkpace.eval.sweeps.parse import settings_of
from thinkpace.eval.task import Example
from thinkpace.processors import compile_program
from thinkpace.prompts import BARE, STEP_BY_STEP
from thinkpace.types import Event

LIMIT = 5


def forced(limit: int | None = None, waits: int = 0, **fields: object) -> BudgetForcing:
    return BudgetForcing(limit, waits=waits, final="so", answer_reserve=1, **fields)  # type: ignore[arg-type]


#: (the long run, the run that is taken from it)
PAIRS: list[tuple[tuple[Control, ...], tuple[Control, ...]]] = [
    ((forced(),), (forced(2),)),
    ((forced(),), (forced(0),)),
    ((forced(4),), (forced(2),)),
    ((forced(waits=2),), (forced(waits=1),)),
    ((forced(waits=2),), (forced(),)),
    ((forced(waits=2),), (forced(3, waits=1),)),
    ((forced(),), (forced(waits=1),)),
    ((forced(waits=1, wait="Waitso"),), (forced(3),)),
    ((forced(waits=1),), (forced(waits=1, wait=None),)),
    ((forced(waits=1, wait=None),), (forced(),)),
    ((forced(),), (forced(min_tokens=2, wait=None),)),
    ((forced(waits=2),), (forced(min_tokens=2, wait=None),)),
    ((forced(),), (ThoughtSwitchPenalty(1, 3, ("a",)), forced())),
    ((forced(),), (SuppressExpressions(("a",)), forced(3))),
    ((forced(waits=1),), (SuppressExpressions(("a",)), forced(waits=1))),
    ((forced(),), (ThinkBudget(3, answer_reserve=1),)),
]


def events_of(tokens: Output, drawn: dict[int, int]) -> list[Event]:
    return [Event(at, "replaced", "", (raw, tokens[at])) for at, raw in drawn.items()]


@pytest.mark.parametrize("temperature", [0.7, 1.0])
@pytest.mark.parametrize(("long", "short"), PAIRS, ids=str)
def test_in_distribution(long: tuple[Control, ...], short: tuple[Control, ...], temperature: float) -> None:
    """Exact: over all long runs, what is taken from each and all that can follow add up to the run by itself."""
    programs = [compile_program(c, VOCABULARY, MARKERS, max_new_tokens=LIMIT) for c in (long, short)]
    walks = [Walk(program, temperature, LIMIT) for program in programs]
    alone, replayed = walks[1].outputs([OPEN]), defaultdict[Output, float](float)
    follows: dict[object, dict[Output, float]] = {}
    for tokens, drawn, probability in walks[0].paths([OPEN]):
        start = shared_prefix(programs[1], tokens, events_of(tokens, drawn), programs[0], [OPEN], Sampling(temperature))
        key = start.tokens, tuple(start.history.drawn.items())
        if key not in follows:
            follows[key] = walks[1].outputs([OPEN], *start)
        for output, share in follows[key].items():
            replayed[output] += probability * share
    assert sum(replayed.values()) == pytest.approx(1)
    assert max(abs(alone[output] - replayed[output]) for output in alone.keys() | replayed.keys()) < 1e-9


def test_a_filter_of_the_sampler_parts_runs_where_edits_differ() -> None:
    """A nucleus sees what a wait moves, so a draw under one edit says nothing of the draw under another."""
    programs = [compile_program([c], VOCABULARY, MARKERS, max_new_tokens=LIMIT) for c in (forced(waits=1), forced())]
    tokens, *_ = next(Walk(programs[0], 1.0, LIMIT).paths([OPEN]))
    assert shared_prefix(programs[1], tokens, (), programs[0], [OPEN], Sampling(1.0, top_p=0.9)).tokens == ()
    assert shared_prefix(programs[0], tokens, (), programs[0], [OPEN], Sampling(1.0, top_p=0.9)).tokens == tokens


class Model(ScriptedEngine):
    """Made-up logits that depend on the seed of nothing but the tokens; counts what it has to generate."""

    def __init__(self) -> None:
        super().__init__(row, VOCABULARY, MARKERS)
        self.generated = 0

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        made = super().generate(requests)
        self.generated += sum(len(c.tokens) - len(r.continue_from) for c, r in zip(made, requests, strict=True))
        return made


def row(prompt: Sequence[int], output: Sequence[int]) -> np.ndarray:
    out = logits([*prompt, *output])
    out[VOCABULARY.encode("<eos>")[0]] -= 2.0 if len(output) < 40 else -9.0
    out[VOCABULARY.encode("</think>")[0]] -= 1.5
    return out


EXAMPLES = tuple(Example(f"q{i}", "<think>" + "a" * i, "7") for i in range(30))
SETTINGS = with_controls(
    grid([0, 2, 5, 9, None], [0, 1, 2], final="so", answer_reserve=2), [(ThoughtSwitchPenalty(1, 3, ("a",)),)]
)


def swept(folder: Path, temperature: float, *, replay: bool) -> tuple[list[dict[str, object]], int]:
    plan = Plan("toy", EXAMPLES, SETTINGS, (BARE,), Sampling(temperature), 1, 60, 0, replay=replay)
    engine = Model()
    with Journal(folder / "journal.sqlite") as book:
        run(plan, Here(engine), book, EngineInfo.of(engine, plan.prompts, plan.examples))
        rows = [*tables.sample_rows(book.points, book.entries())]
        tables.write_csv(results(book.points, book.entries()), folder / "results.csv")
    return rows, engine.generated


def test_greedy_sweeps_are_the_same_token_for_token(tmp_path: Path) -> None:
    alone, cost = swept(tmp_path / "alone", 0.0, replay=False)
    replayed, less = swept(tmp_path / "replayed", 0.0, replay=True)
    assert less < cost
    assert sum(r["shared"] for r in replayed) > 0  # type: ignore[misc]  # numbers
    assert [without_cost(r) for r in replayed] == [without_cost(r) for r in alone]
    tables = [
        list(csv.DictReader((tmp_path / n / "results.csv").read_text().splitlines())) for n in ("alone", "replayed")
    ]
    marked = [float(r.pop("replayed")) for r in tables[1]]
    assert [r.pop("replayed") for r in tables[0]] == ["0"] * len(marked)
    assert tables[0] == tables[1]
    assert 0 < sum(share > 0 for share in marked) < len(marked), "the table says which rows are replayed"


def without_cost(sample: dict[str, object]) -> dict[str, object]:
    usage = {name: count for name, count in sample["usage"].items() if name != "reread"}  # type: ignore[attr-defined]
    return {**sample, "usage": usage, "shared": 0}


def test_a_stopped_replay_goes_on_from_the_long_runs_that_are_there(tmp_path: Path) -> None:
    whole, _ = swept(tmp_path / "whole", 1.0, replay=True)
    plan = Plan("toy", EXAMPLES, SETTINGS[:1] + SETTINGS[-1:], (BARE,), Sampling(1.0), 1, 60, 0, replay=True)
    engine = Model()
    with Journal(tmp_path / "part" / "journal.sqlite") as book:
        run(plan, Here(engine), book, EngineInfo.of(engine, plan.prompts, plan.examples))
        more = replace(plan, settings=SETTINGS)
        run(more, Here(engine), book, EngineInfo.of(engine, plan.prompts, plan.examples))
        assert len({(e.point, e.question) for e in book.entries()}) == len(SETTINGS) * len(EXAMPLES) == len(whole)


def test_samples_that_failed_are_done_without_their_long_run(tmp_path: Path) -> None:
    class Broken(Model):
        def generate(self, requests: Sequence[Request]) -> list[Completion]:
            if any(r.controls == SETTINGS[14].controls and len(r.prompt) == 4 for r in requests):
                raise RuntimeError("out of memory")
            return super().generate(requests)

    plan = Plan("toy", EXAMPLES, SETTINGS[:15], (BARE,), Sampling(0.0), 1, 60, 0, replay=True)
    engine = Broken()
    with Journal(tmp_path / "journal.sqlite") as book:
        run(plan, Here(engine), book, EngineInfo.of(engine, plan.prompts, plan.examples))
        verdicts = {(e.question, e.verdict == "error") for e in book.entries() if e.row.get("shared", 1) == 0}
        assert [e.question for e in book.entries() if e.verdict == "error"] == ["q3"]
        assert ("q3", False) in verdicts


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_default_sweep_costs_at_most_half_more_than_its_longest_run(
    engine: Any, temperature: float, tmp_path: Path
) -> None:
    """Embedded model: tokens that are generated, against those of the longest setting alone."""
    settings = settings_of(None, None, {"answer_reserve": 16})
    examples = tuple(problems.examples("chain", 24, seed=3))
    plan = Plan("chain", examples, settings, (STEP_BY_STEP,), Sampling(temperature), 1, 800, 0, replay=True)
    with Journal(tmp_path / "journal.sqlite") as book:
        run(plan, Here(engine), book, EngineInfo.of(engine, plan.prompts, plan.examples))
        rows = tables.ledger(book.points, book.entries())
        replayed = {(e.question, e.point): e.row["tokens"] for e in book.entries()}
    longest = max(rows, key=lambda one: one.output)
    assert longest.shared == 0
    assert sum(one.generated for one in rows) <= 1.5 * longest.output
    if temperature == 0:
        alone = replace(plan, replay=False)
        with Journal(tmp_path / "alone" / "journal.sqlite") as book:
            run(alone, Here(engine), book, EngineInfo.of(engine, plan.prompts, plan.examples))
            assert [e.row["tokens"] for e in book.entries()] == list(replayed.values())
