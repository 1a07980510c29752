"""Write the results in docs/controls.md: every control on the embedded model, compared with no control.

    python scripts/controls_table.py [--questions 512] [--out docs/controls.md]

Every row has the same questions and seeds as the first row of its group. The script replaces what is between the two
marks in the page; names omit `answer_reserve=16`. Samples are stored in runs/controls: a stopped run continues.
"""

from __future__ import annotations

import argparse
import math
import re
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
    parser.add_argument("--out", type=Path, default=Path("docs/controls.md"))
    options = parser.parse_args()
    engine = HFEngine.from_path(embedded.path("hf"), name=embedded.NAME)
    parts = [_group(group, engine, options.questions) for group in GROUPS]
    page = options.out.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    options.out.write_text(f"{before}{BEGIN}\n\n{chr(10).join(parts)}\n{END}{after}", encoding="utf-8")


def _group(group: Group, engine: HFEngine, questions: int) -> str:
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
    folder = Path("runs/controls") / f"{task}-{prompt.name}-{len(chains)}-{questions}.sqlite"
    with Journal(folder) as journal:
        total = 0

        def progress(done: int) -> None:
            nonlocal total
            total += done
            print(f"\r{title}: {total} of {len(chains) * questions}", end="", flush=True)

        run(plan, Here(engine), journal, EngineInfo.of(engine, plan.prompts, plan.examples), progress)
        print()
        samples = [*sample_rows(journal.points, journal.entries())]
        rows = [_row(result, samples) for result in results(journal.points, journal.entries())]
    head = (
        f"**{title}**\n\n"
        "| controls | accuracy (95 %) | against the first row (95 %) | thinking tokens | forced | switches | probes |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


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
