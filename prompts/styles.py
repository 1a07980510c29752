"""Instructions that decide how a model answers: directly, step by step, or in drafts.

Each is the first sentence of a published prompt, verbatim. The second line of the originals (about the
separator `####`, or the preamble) is left out: what marks the answer is the task's business, not the style's.
"""

from __future__ import annotations

from dataclasses import dataclass

_SOURCE = "sileix/chain-of-draft 2487935, configs/gsm8k_{}.yaml, first line of system_prompt; arXiv 2502.18600"


@dataclass(frozen=True, slots=True)
class Prompt:
    """An instruction put before the question, in one user message.

    Args:
        name: what the command line and the results call it.
        instruction: the text, as published.
        source: where it was published.
    """

    name: str
    instruction: str
    source: str

    def render(self, question: str) -> list[dict[str, str]]:
        """The chat messages for one question: one user message, the instruction first.

        >>> DIRECT.render("2+2=?")[0]["content"]
        'Answer the question directly with a number without unit.\\n2+2=?'
        """
        return [{"role": "user", "content": f"{self.instruction}\n{question}"}]


DIRECT = Prompt("direct", "Answer the question directly with a number without unit.", _SOURCE.format("baseline"))
STEP_BY_STEP = Prompt("step-by-step", "Think step by step to answer the following question.", _SOURCE.format("cot"))
DRAFT = Prompt(
    "draft",
    "Think step by step, but only keep minimum draft for each thinking step, with 5 words at most.",
    _SOURCE.format("cod"),
)

PROMPTS = {prompt.name: prompt for prompt in (DIRECT, STEP_BY_STEP, DRAFT)}
