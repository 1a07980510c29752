"""Synthetic problems with known answers, for the embedded model.

Two families, both in arithmetic modulo 10 so that every answer is one digit:

* `Chain`: a chain of assignments; the question asks for the last variable. A first pass can make a mistake in a step,
  so checking again improves accuracy: budgets and waits have an effect.
* `Search`: one unknown, found by trying candidates. A right candidate can be abandoned half-way, so switching thoughts
  too early lowers accuracy: a thought-switching penalty has an effect.

A hash of the question's text, not the seed, decides between train and test: a test question can never be a training
question, whatever the seeds.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from thinkpace.eval.task import Example

Operator = Literal["+", "-", "*"]
TaskName = Literal["chain", "search"]
Split = Literal["train", "test"]

VARIABLES = "abcdefghij"
UNITS = (3, 7, 9)  # multipliers with an inverse modulo 10 (other than 1), so that every step can be undone
TEST_SHARE = 16  # one question in 16 belongs to the test split


Step = tuple[Operator, int]


def apply(value: int, operator: Operator, constant: int) -> int:
    """The result of one step, modulo 10."""
    match operator:
        case "+":
            return (value + constant) % 10
        case "-":
            return (value - constant) % 10
        case "*":
            return (value * constant) % 10


def values_after(start: int, steps: Sequence[Step]) -> tuple[int, ...]:
    """`start`, then the result after every step."""
    out = [start]
    for operator, constant in steps:
        out.append(apply(out[-1], operator, constant))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class Chain:
    """`a=7;b=a*3;c=b+9; c=?`: `steps[i]` computes variable i + 1 from variable i."""

    start: int
    steps: tuple[Step, ...]

    @property
    def question(self) -> str:
        assignments = [f"{VARIABLES[0]}={self.start}"]
        assignments += [
            f"{VARIABLES[i + 1]}={VARIABLES[i]}{operator}{constant}"
            for i, (operator, constant) in enumerate(self.steps)
        ]
        return f"Modulo 10: {';'.join(assignments)}; {VARIABLES[len(self.steps)]}=?"

    @property
    def answer(self) -> str:
        return str(values_after(self.start, self.steps)[-1])


@dataclass(frozen=True, slots=True)
class Search:
    """`(x*7-2)*3=5; x=?`: exactly one digit solves it, since every step can be undone modulo 10."""

    steps: tuple[Step, ...]
    target: int

    @property
    def question(self) -> str:
        text = "x"
        for operator, constant in self.steps:
            if operator == "*" and text != "x":
                text = f"({text})"
            text = f"{text}{operator}{constant}"
        return f"Modulo 10: {text}={self.target}; x=?"

    @property
    def answer(self) -> str:
        return str(next(x for x in range(10) if values_after(x, self.steps)[-1] == self.target))


def split_of(question: str) -> Split:
    """The split that a question belongs to; it depends on the text alone."""
    return "test" if hashlib.sha256(question.encode()).digest()[0] % TEST_SHARE == 0 else "train"


def _draw_step(rng: random.Random, operators: str = "+-*") -> Step:
    operator = cast(Operator, rng.choice(operators))
    return operator, rng.choice(UNITS) if operator == "*" else rng.randint(1, 9)


def draw_chain(rng: random.Random, lengths: tuple[int, int] = (4, 7)) -> Chain:
    """A chain with a number of steps drawn uniformly from `lengths`, both ends included."""
    return Chain(rng.randint(0, 9), tuple(_draw_step(rng) for _ in range(rng.randint(*lengths))))


def draw_search(rng: random.Random) -> Search:
    """Three steps: a product between sums or a sum between products: `(x+4)*7-2=5` or `(x*7-2)*3=5`."""
    shape = rng.choice((("+-", "*", "+-"), ("*", "+-", "*")))
    return Search(tuple(_draw_step(rng, operators) for operators in shape), rng.randint(0, 9))


def stream(task: TaskName, split: Split, seed: int) -> Iterator[Chain | Search]:
    """Endless problems of one split, repeats allowed."""
    rng = random.Random(f"{task}/{split}/{seed}")
    while True:
        problem = draw_chain(rng) if task == "chain" else draw_search(rng)
        if split_of(problem.question) == split:
            yield problem


def examples(task: TaskName, n: int, *, split: Split = "test", seed: int = 0) -> list[Example]:
    """The first `n` distinct problems of a stream, as examples.

    Args:
        task: "chain" or "search".
        n: how many, at least 1. The test split of *search* holds about 600 distinct questions in all.
        split: "test" (held out) or "train".
        seed: another seed gives another sample.

    Raises:
        ValueError: for an unknown task, an `n` below 1, or more problems than the task has.
    """
    if task not in get_args(TaskName):
        raise ValueError(f"task must be one of {', '.join(get_args(TaskName))}, got {task!r}")
    if n < 1:
        raise ValueError(f"n must be >= 1, got {n}")
    seen: dict[str, str] = {}
    for draws, problem in enumerate(stream(task, split, seed)):
        if len(seen) == n:
            break
        if draws > 1000 * n + 100_000:
            raise ValueError(f"{task}/{split} has only {len(seen)} distinct questions, {n} were asked for")
        seen[problem.question] = problem.answer
    return [
        Example(f"{task}-{split}-{seed}-{i:04d}", question, answer) for i, (question, answer) in enumerate(seen.items())
    ]
