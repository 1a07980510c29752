"""Prompts: what is said around a question, before the first token."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Shot:
    """A worked example. Args: question: as asked. answer: as it should be answered."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is said around a question: one user message, as the originals have it.

    Args:
        name: what the command line and the results call it.
        template: the message; `{question}` stands for the question, and has to occur.
        source: where it was published.
        note: what is known to be wrong with it, or what differs from the original; empty for nothing.
        system: a system message before it; empty for none.
        shots: worked examples, each put through `shot_template`, in place of `{shots}`.
        shot_template: of one example, with `{question}` and `{answer}`.
        prefill: how the model's turn begins, after what the chat template puts there. `<think>` and `</think>` in it
            stand for the model's own markers.

    Raises:
        ValueError: if the template has no place for the question, or shots and no place for them.
    """

    name: str
    template: str
    source: str
    note: str = ""
    system: str = ""
    shots: tuple[Shot, ...] = ()
    shot_template: str = "Q: {question}\nA: {answer}\n"
    prefill: str = ""

    def __post_init__(self) -> None:
        if "{question}" not in self.template:
            raise ValueError(f"the template of prompt {self.name!r} has no {{question}}")
        if bool(self.shots) != ("{shots}" in self.template):
            raise ValueError(f"prompt {self.name!r} must have both shots and {{shots}} in its template, or neither")

    def text(self, question: str) -> str:
        """The user message."""
        shots = "\n".join(_filled(self.shot_template, question=s.question, answer=s.answer) for s in self.shots)
        return _filled(self.template, shots=shots, question=question)

    def render(self, question: str) -> list[dict[str, str]]:
        """The chat messages for one question, ready for a chat template.

        >>> Prompt("direct", "Answer directly.\\n{question}", "nowhere").render("2+2=?")
        [{'role': 'user', 'content': 'Answer directly.\\n2+2=?'}]
        """
        before = [{"role": "system", "content": self.system}] if self.system else []
        return [*before, {"role": "user", "content": self.text(question)}]

    def plain(self, question: str) -> str:
        """The same for a model without a chat template: all texts, a blank line between them."""
        return "\n\n".join(message["content"] for message in self.render(question)) + "\n" + self.prefill

    @property
    def digest(self) -> str:
        """Tells prompts apart that go by one name."""
        return hashlib.blake2b(repr(astuple(self)).encode(), digest_size=8).hexdigest()


def _filled(template: str, **values: str) -> str:
    """The template with its places filled at once: braces in a question are text, not places."""
    out, rest = "", template
    while rest:
        found = [(rest.find("{" + name + "}"), name) for name in values if "{" + name + "}" in rest]
        if not found:
            break
        at, name = min(found)
        out += rest[:at] + values[name]
        rest = rest[at + len(name) + 2 :]
    return out + rest


def load_shots(path: Path) -> tuple[Shot, ...]:
    """Worked examples from JSON lines with `question` and `answer`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a line that is none; it names the line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of worked examples {path}")
    out = list[Shot]()
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            out.append(Shot(str(row["question"]), str(row["answer"])))
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path}, line {number}: expected an object with question and answer") from None
    return tuple(out)
