"""Training texts of the embedded model: problems turned into thinking traces that contain errors.

The traces contain what the model shall demonstrate:

* A first pass over a chain sometimes makes a slip and continues from the wrong value, so the model is fallible at
  temperature 1. "Wait" starts another pass in the same form, which marks every step `ok` or `fix` and catches a
  slip with probability `CATCH`: thinking longer helps, but gradually.
* A search abandons candidates early. Every line ends with a newline, so the choice between continuing and switching is
  made at the word "Alternatively" itself.
* Some traces continue with passes whose "Wait" carries no loss: the model learns what to do after a Wait that a control
  wrote, but does not learn to wait more often by itself.
* Some traces are cut at a random place and then answered, so an answer after a forced close is a best guess from the
  thinking so far. The close of a cut trace carries no loss: the model must not learn to stop at random.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from thinkpace.eval.embedded.problems import VARIABLES, Chain, Search, apply, values_after

SLIP = 0.07  # share of first-pass steps that go wrong
CATCH = 0.65  # chance that a checking pass notices a slip
PASSES = (0.45, 0.30, 0.15, 0.10)  # share of traces with 0, 1, 2, 3 checking passes of the model's own
FORCED_PASSES = (0.64, 0.16, 0.12, 0.08)  # share with 0, 1, 2, 3 more, as if a control had written "Wait"
ABANDON = 0.45  # share of candidates left before their last step
CUT = 0.20  # share of thinking traces that are cut and answered


@dataclass(frozen=True, slots=True)
class Trace:
    """What the model is to write: `thinking`, then the close, then `answer`.

    The last `forced` times that "Wait" occurs it is not the model's own.
    """

    thinking: str
    answer: str
    forced: int = 0


def _first_pass(problem: Chain, rng: random.Random) -> list[int]:
    values = [problem.start]
    for operator, constant in problem.steps:
        value = apply(values[-1], operator, constant)
        values.append((value + rng.randint(1, 9)) % 10 if rng.random() < SLIP else value)
    return values


def _check_pass(problem: Chain, before: list[int], rng: random.Random) -> list[int]:
    values = [problem.start]
    for i, (operator, constant) in enumerate(problem.steps):
        value = apply(values[-1], operator, constant)
        overlooked = values[-1] == before[i] and value != before[i + 1] and rng.random() >= CATCH
        values.append(before[i + 1] if overlooked else value)
    return values


def chain_trace(problem: Chain, rng: random.Random, *, draft: bool) -> Trace:
    """A first pass and up to six checking passes, step by step or as drafts."""
    passes = [_first_pass(problem, rng)]
    own = rng.choices(range(len(PASSES)), PASSES)[0]
    forced = rng.choices(range(len(FORCED_PASSES)), FORCED_PASSES)[0]
    for _ in range(own + forced):
        passes.append(_check_pass(problem, passes[-1], rng))
    blocks = []
    for k, values in enumerate(passes):
        steps = []
        for i, (operator, constant) in enumerate(problem.steps):
            working = "" if draft else f"{values[i]}{operator}{constant}="
            mark = "" if k == 0 else " ok" if values[i + 1] == passes[k - 1][i + 1] else " fix"
            steps.append(f"{VARIABLES[i + 1]}={working}{values[i + 1]}{mark}")
        blocks.append((";" if draft else "\n").join(steps) + "\n")
    return Trace("Wait\n".join(blocks), str(passes[-1][-1]), forced)


def search_trace(problem: Search, rng: random.Random) -> Trace:
    """Candidates in random order, each worked out to the end or abandoned, until one fits."""
    waiting = rng.sample(range(10), 10)
    abandoned: set[int] = set()
    lines: list[str] = []
    while True:
        x = waiting.pop(0)
        lines.append(f"Alternatively, try {x}" if lines else f"Try {x}")
        leave_after = rng.randint(1, 2) if x not in abandoned and rng.random() < ABANDON else None
        values = values_after(x, problem.steps)
        for i, (operator, constant) in enumerate(problem.steps[:leave_after]):
            lines.append(f"{values[i]}{operator}{constant}={values[i + 1]}")
        if leave_after is not None:
            abandoned.add(x)
            waiting.append(x)
        elif values[-1] == problem.target:
            lines.append(f"{x}:{values[-1]},{problem.target} yes")
            return Trace("".join(f"{line}\n" for line in lines), str(x))
        else:
            lines.append(f"{x}:{values[-1]},{problem.target} no")


def direct_trace(problem: Chain | Search) -> Trace:
    """No thinking at all, and the right answer."""
    return Trace("", problem.answer)
