"""Tasks: questions with known answers, and how answers to them are extracted and compared."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """One question of a task.

    Args:
        id: identifies the question in the journal and in the results; unique within a task.
        question: text of the question, without any instruction.
        answer: the known answer, as text.
    """

    id: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Task:
    """Questions, and how answers to them are extracted and compared.

    Args:
        name: for the results.
        examples: the questions.
        grader: how answers are compared; one of `grading.grader.GRADER_NAMES`.
        official: where the task's authors look for the answer; one of `grading.rules.RULES`; None: they do not say.
    """

    name: str
    examples: tuple[Example, ...]
    grader: str = "same"
    official: str | None = None
