"""gpt-oss: channels instead of tags. Its markers are several tokens, of which the first one is special."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from support.places import SHARED
from support.real_vocabularies import needs_shared

from thinkpace import BudgetForcing, Control, Markers, StepBudget, ThinkBudget
from thinkpace.adapters.scripted import ScriptedEngine, WordVocabulary, says
from thinkpace.engine import Completion, Request, Sampling

SPECIAL = ("<|start|>", "<|end|>", "<|channel|>", "<|message|>", "<|return|>", "<|call|>")
TEXT = ("assistant", "analysis", "final", "commentary", "Wait", "Final Answer:", "user", "a", "7", "\n", " ")


@dataclass(frozen=True)
class Harmony(WordVocabulary):
    """The tokens of the format."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "special", frozenset(map(self.words.index, SPECIAL)))


VOCABULARY = Harmony(SPECIAL + TEXT, "<|return|>")
THINKS = "<|channel|>analysis<|message|>"
ANSWERS = "<|start|>assistant<|channel|>final<|message|>"


def run(script: str, *controls: Control) -> Completion:
    template = (SHARED / "chat_templates" / "templates" / "openai-gpt-oss-120b.jinja").read_text()
    markers = replace(Markers.from_chat_template(template), opened_by_prompt=None, generation_prompts=())
    assert markers.close == "<|end|>" + ANSWERS
    model = says(VOCABULARY.encode(script), VOCABULARY.size, VOCABULARY.words.index("<|return|>"))
    engine = ScriptedEngine(model, VOCABULARY, markers)
    prompt = VOCABULARY.encode("<|start|>user<|message|>a<|end|><|start|>assistant")
    [made] = engine.generate([Request(prompt, controls, 60, Sampling(0.0))])
    return made


@needs_shared
@pytest.mark.parametrize(
    ("controls", "text", "end"),
    [
        ((), THINKS + "aa<|end|>" + ANSWERS + "7<|return|>", "natural"),
        ((ThinkBudget(1, answer_reserve=0),), THINKS + "a<|end|>" + ANSWERS + "a<|end|>", "forced"),
        (
            (BudgetForcing(waits=1, final=None, answer_reserve=0),),
            THINKS + "aaWait<|end|>" + ANSWERS + "7<|return|>",
            "natural",
        ),
        (
            (BudgetForcing(waits=3, final=None, answer_reserve=0),),
            THINKS + "aaWaitWaitWait<|end|>" + ANSWERS + "7<|return|>",
            "natural",
        ),
        ((StepBudget(9, ("\n",)),), THINKS + "aa<|end|>" + ANSWERS + "7<|return|>", "natural"),
    ],
)
def test_channels(controls: tuple[Control, ...], text: str, end: str) -> None:
    """A wait replaces <|end|> itself: it was written behind half of the header."""
    made = run(THINKS + "aa<|end|>" + ANSWERS + "7", *controls)
    assert made.text.startswith(text)
    assert made.receipt.end == end
    assert made.receipt.diverged == 0


@needs_shared
def test_thinking_again_after_text() -> None:
    """A channel opens thinking wherever it comes: its first token is no text."""
    made = run(THINKS + "a<|end|>" + ANSWERS + "7<|end|><|start|>assistant" + THINKS + "aaa<|end|>" + ANSWERS + "7")
    assert made.receipt.thinking_tokens == 4
    limited = run(
        THINKS + "a<|end|>" + ANSWERS + "7<|end|><|start|>assistant" + THINKS + "aaa<|end|>" + ANSWERS + "7",
        ThinkBudget(2, answer_reserve=0),
    )
    assert limited.receipt.thinking_tokens == 2
