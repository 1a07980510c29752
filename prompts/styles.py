"""Instructions that decide how a model answers: directly, step by step, or in drafts.

Each is the first sentence of a published prompt, verbatim, before the question. The second line of the originals (about
the separator `####`, or the preamble) is left out here: the task decides how an answer is marked. `published` has the
complete prompts.
"""

from __future__ import annotations

from thinkpace.prompts.base import Prompt

_SOURCE = "sileix/chain-of-draft 2487935, configs/gsm8k_{}.yaml, first line of system_prompt; arXiv 2502.18600"

BARE = Prompt("none", "{question}", "the question alone")
DIRECT = Prompt(
    "direct", "Answer the question directly with a number without unit.\n{question}", _SOURCE.format("baseline")
)
STEP_BY_STEP = Prompt(
    "step-by-step", "Think step by step to answer the following question.\n{question}", _SOURCE.format("cot")
)
DRAFT = Prompt(
    "draft",
    "Think step by step, but only keep minimum draft for each thinking step, with 5 words at most.\n{question}",
    _SOURCE.format("cod"),
)
