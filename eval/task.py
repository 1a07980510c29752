"""A task: questions with known answers, and how answers to them are found and compared."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """One question of a task.

    Args:
        id: names the question in the journal and in the results; unique within a task.
        question: what is asked, without any instruction.
        answer: the known answer, as text.
    """

    id: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Task:
    """Questions, how answers to them are found, and how they are compared.

    Args:
        name: for the results.
        examples: the questions.
        grader: one of `grading.NAMES`.
        official: where its authors look for the answer, one of `extraction.RULES`.
    """

    name: str
    examples: tuple[Example, ...]
    grader: str = "same"
    official: str = "boxed"
