"""Write the results in docs/controls.md: every control on the embedded model, compared with no control.

    python scripts/controls_table.py [--questions 512]
    python scripts/controls_table.py --check

Every row has the same questions and seeds as the first row of its group. The script replaces what is between the two
marks in the page; names omit `answer_reserve=16`. Samples are stored in runs/controls: a stopped run continues. It also
writes what a small sample gives, docs/controls_small.csv. With --check it generates only that sample, and the exit code
is 1 if it is no longer what the file says, up to what another processor's rounding changes: then the page is stale.
"""

from __future__ import annotations

import argparse
import csv
import math
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from thinkpace import (
    BudgetForcing,
    ConfidenceExit,
    Control,
    DraftLimit,
    LoopBreaker,
    PhasedSpeed,
    Sampling,
    StepBudget,
    StructuredAnswer,
    SuppressExpressions,
    ThinkBudget,
    ThoughtBudget,
    ThoughtSwitchPenalty,
    after,
    during,
)
from thinkpace.adapters.hf.engine import HFEngine
from thinkpace.eval import embedded
from thinkpace.eval.embedded import problems
from thinkpace.eval.executors.local import Here
from thinkpace.eval.report.tables import sample_rows
from thinkpace.eval.report.terminal import gained
from thinkpace.eval.runs.journal import Journal
from thinkpace.eval.runs.plan import EngineInfo, Plan
from thinkpace.eval.runs.run import run
from thinkpace.eval.runs.settings import Setting
from thinkpace.eval.stats.results import Result, results
from thinkpace.prompts import DRAFT, STEP_BY_STEP, Prompt

PAGE = Path(__file__).parents[1] / "docs" / "controls.md"
SMALL = PAGE.with_name("controls_small.csv")
FOLDER = Path("runs/controls")
FEW = 24  # questions of the small sample
MOST_RIGHT, MOST_TOKENS = 2, 0.05  # differences that rounding may make: right answers, and the share of the tokens
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
LINES = ("\n",)
SWITCHES = ("alternatively",)
Task = Literal["chain", "search"]
Group = tuple[str, Task, Prompt, tuple[tuple[Control, ...], ...]]


def forced(limit: int | None = None, **fields: object) -> BudgetForcing:
    return BudgetForcing(limit, answer_reserve=16, **fields)  # type: ignore[arg-type]  # fields of a budget


GROUPS: tuple[Group, ...] = (
    (
        "chain, step by step",
        "chain",
        STEP_BY_STEP,
        (
            (),
            (ThinkBudget(64, answer_reserve=16),),
            (ThinkBudget(64, landing=16, answer_reserve=16),),
            (forced(64),),
            (forced(waits=2),),
            (PhasedSpeed(slow_tokens=128, separators=("ok\n", "fix\n"), wait_probability=0.5, answer_reserve=16),),
            (StepBudget(7, LINES),),
            (ConfidenceExit("probability", 0.99, separators=LINES),),
            (ConfidenceExit("margin", 4.0, separators=LINES),),
            (ConfidenceExit("entropy", 0.02, 4, separators=LINES),),
            (ConfidenceExit("trial", 0.9, separators=LINES, trial="</think>\nFinal Answer:"),),
            (LoopBreaker(),),
            (StructuredAnswer(regex="Final Answer: [0-9]"),),
        ),
    ),
    (
        "chain, asked for drafts: the prompt alone (first row), and the prompt with a limit",
        "chain",
        DRAFT,
        (
            (),
            (DraftLimit(2),),
            (DraftLimit(3),),
            (DraftLimit(3, "soft"),),
        ),
    ),
    (
        "chain, step by step: the limit alone",
        "chain",
        STEP_BY_STEP,
        (
            (),
            (DraftLimit(2),),
            (DraftLimit(3),),
            (DraftLimit(3, "soft"),),
            (DraftLimit(4),),
        ),
    ),
    (
        "chain, step by step: gates",
        "chain",
        STEP_BY_STEP,
        (
            (),
            (SuppressExpressions(("fix",)),),
            (during("answer", SuppressExpressions(("fix",))),),
            (after(60, StepBudget(1, LINES)),),
        ),
    ),
    (
        "search, at most 240 thinking tokens in every row",
        "search",
        STEP_BY_STEP,
        (
            (forced(240),),
            (ThoughtSwitchPenalty(3.0, 24, SWITCHES), forced(240)),
            (ThoughtSwitchPenalty(5.0, 28, SWITCHES), forced(240)),
            (ThoughtSwitchPenalty(3.0, 600, SWITCHES), forced(240)),
            (ThoughtBudget(4, SWITCHES), forced(240)),
            (SuppressExpressions(SWITCHES), forced(240)),
        ),
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=512)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    engine = HFEngine.from_path(embedded.path("hf"), name=embedded.NAME)
    if options.check:
        with tempfile.TemporaryDirectory() as folder:
            made = _small(engine, Path(folder))
        differences = [*_differences(made, list(csv.reader(SMALL.read_text().splitlines())))]
        print("\n".join(differences) or f"{SMALL.name} is what the controls do")
        sys.exit(1 if differences else 0)
    parts = [_table(group, *_results(group, engine, options.questions, FOLDER)) for group in GROUPS]
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{chr(10).join(parts)}\n{END}{after}", encoding="utf-8")
    with SMALL.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(_small(engine, FOLDER))


def _small(engine: HFEngine, folder: Path) -> list[list[str]]:
    """The group, the controls, the right answers and the thinking tokens of every row, of a few questions."""
    rows = [["group", "controls", "right", "thinking_tokens"]]
    for group in GROUPS:
        found, _ = _results(group, engine, FEW, folder)
        rows += [[group[0], r.controls, f"{r.accuracy * FEW:.0f}", f"{r.thinking_tokens_mean:.1f}"] for r in found]
    return rows


def _differences(made: list[list[str]], kept: list[list[str]]) -> Iterator[str]:
    """What a small sample no longer is."""
    if [row[:2] for row in made] != [row[:2] for row in kept]:
        yield f"{SMALL.name} has other rows: python {Path(__file__).name} writes it"
        return
    for now, then in zip(made[1:], kept[1:], strict=True):
        right, tokens = abs(int(now[2]) - int(then[2])), abs(float(now[3]) - float(then[3]))
        if right > MOST_RIGHT or tokens > MOST_TOKENS * float(then[3]) + 1:
            yield f"{now[0]}, {now[1]}: {now[2]} right, {now[3]} tokens; the page was made at {then[2]}, {then[3]}"


def _results(group: Group, engine: HFEngine, questions: int, folder: Path) -> tuple[list[Result], list[dict[str, Any]]]:
    title, task, prompt, chains = group
    plan = Plan(
        task=task,
        examples=tuple(problems.examples(task, questions)),
        settings=tuple(Setting(chain) for chain in chains),
        prompts=(prompt,),
        sampling=Sampling(1.0),
        samples=1,
        max_new_tokens=800,
        seed=0,
    )
    with Journal(folder / f"{task}-{prompt.name}-{len(chains)}-{questions}.sqlite") as journal:
        total = 0

        def progress(done: int) -> None:
            nonlocal total
            total += done
            print(f"\r{title}: {total} of {len(chains) * questions}", end="", file=sys.stderr, flush=True)

        run(plan, Here(engine), journal, EngineInfo.of(engine, plan.prompts, plan.examples), progress)
        print(file=sys.stderr)
        entries = [*journal.entries()]
        return results(journal.points, entries), [*sample_rows(journal.points, entries)]


def _table(group: Group, found: list[Result], samples: list[dict[str, Any]]) -> str:
    head = (
        f"**{group[0]}**\n\n"
        "| controls | accuracy (95 %) | against the first row (95 %) | thinking tokens | forced | switches | probes |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(_row(result, samples) for result in found) + "\n"


def _row(result: Result, samples: list[dict[str, Any]]) -> str:
    own = [row for row in samples if row["setting"] == result.controls]
    switches = math.fsum(row["text"].count("Alternatively") for row in own) / len(own)
    probes = math.fsum(row["usage"]["probe"] for row in own) / len(own)
    name = " + ".join(f"`{part}`" for part in re.sub(r"answer_reserve=16(, )?", "", result.controls).split(" + "))
    name = name.replace(", )", ")").replace("|", "\\|")
    return (
        f"| {name} | {100 * result.accuracy:.1f} % ({100 * result.ci_low:.1f} to {100 * result.ci_high:.1f}) "
        f"| {gained(result) or '-'} | {result.thinking_tokens_mean:.1f} | {100 * result.forced_end:.0f} % "
        f"| {switches:.2f} | {probes:.0f} |"
    )


if __name__ == "__main__":
    main()
