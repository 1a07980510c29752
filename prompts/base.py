"""The prompt type: the text around a question, and worked examples."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Shot:
    """A worked example."""

    question: str  #: the question as the prompt shows it
    answer: str  #: the answer as the model should give it


@dataclass(frozen=True, slots=True)
class Prompt:
    """The text around a question: one user message, as in the published originals.

    Args:
        name: its name on the command line and in results.
        template: the message; `{question}` stands for the question, and must occur.
        source: where it was published.
        note: known errors, or differences from the original; empty for none.
        system: a system message before it; empty for none.
        shots: worked examples, each formatted with `shot_template`, in place of `{shots}`.
        shot_template: the format of one example, with `{question}` and `{answer}`.
        prefill: the start of the model's turn, after what the chat template puts there. `<think>` and `</think>` in it
            stand for the model's own markers.
        template_arguments: passed on to the chat template, as (name, value), such as `("enable_thinking", False)`.

    Raises:
        ValueError: if the template lacks `{question}`, or has shots without `{shots}` or the reverse.
    """

    name: str
    template: str
    source: str
    note: str = ""
    system: str = ""
    shots: tuple[Shot, ...] = ()
    shot_template: str = "Q: {question}\nA: {answer}\n"
    prefill: str = ""
    template_arguments: tuple[tuple[str, object], ...] = ()

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
        """The prompt for a model without a chat template: all messages, separated by blank lines, then the prefill."""
        return "\n\n".join(message["content"] for message in self.render(question)) + "\n" + self.prefill

    @property
    def digest(self) -> str:
        """A hash that tells apart prompts of the same name."""
        values = astuple(self)
        values = values if self.template_arguments else values[:-1]  # as it was before there were such arguments
        return hashlib.blake2b(repr(values).encode(), digest_size=8).hexdigest()


def _filled(template: str, **values: str) -> str:
    """Fill all placeholders in one pass: braces in an inserted question are text, not placeholders."""
    out, rest = "", template
    while rest:
        positions = [(rest.find("{" + name + "}"), name) for name in values if "{" + name + "}" in rest]
        if not positions:
            break
        at, name = min(positions)
        out += rest[:at] + values[name]
        rest = rest[at + len(name) + 2 :]
    return out + rest


def load_prompt(path: Path) -> Prompt:
    """Load a prompt of your own: a text file with `{question}` in it, named after the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no text, or lacks `{question}`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no prompt file {path}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text ({error.reason} at byte {error.start})") from None
    return Prompt(path.stem, text.removesuffix("\n"), str(path.name))


def load_shots(path: Path) -> tuple[Shot, ...]:
    """Load worked examples from JSON lines with `question` and `answer`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a line that is not a worked example; the message names it.
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
