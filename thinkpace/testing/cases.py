"""Cases worked out by hand: what the model would say, and what the output must be under some controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from thinkpace.adapters.scripted import Model, ScriptedEngine, says
from thinkpace.engine import Engine, Request, Sampling
from thinkpace.processors import Control, Markers
from thinkpace.testing.vocabulary import MARKERS, VOCABULARY
from thinkpace.types import End

ENDS = get_args(End)


@dataclass(frozen=True)
class Case:
    """A greedy generation. The model says a script, and continues it when controls write something in between.

    Texts are spelled with the words of `VOCABULARY`: `a`, `so`, `Wait`, `7`, `Q`, `?`, `;`, space, line break, the
    markers `<t>` and `</t>`, the pieces `<`, `/`, `think`, `>` of longer ones, and `<eos>`. Where a control bans what
    the model would say, `<` comes: of the other words, which are all equally likely, it has the lowest id.

    Raises:
        ValueError: for a text of other words, or an unknown `end`.
    """

    says: str  #: what the model would say after the prompt; then it ends
    text: str  #: the whole output
    thinking_tokens: int  #: thinking tokens, as a budget counts them
    end: str  #: how thinking ends: "natural", "forced", "eos", "open" or "none"
    controls: tuple[Control, ...] = ()
    prompt: str = "Q<t>"  #: ends with `<t>` where the prompt has opened thinking
    waits: int = 0  #: closes that a wait replaced
    markers: Markers = MARKERS[0]
    limit: int = 40  #: of output tokens

    def __post_init__(self) -> None:
        for name, text in (("says", self.says), ("text", self.text), ("prompt", self.prompt)):
            if VOCABULARY.decode(VOCABULARY.encode(text)) != text:
                words = ", ".join(map(repr, VOCABULARY.words))
                raise ValueError(f"{name}={text!r} is not made of the words of VOCABULARY: {words}")
        if self.end not in ENDS:
            raise ValueError(f"end must be one of {', '.join(ENDS)}, got {self.end!r}")

    @property
    def model(self) -> Model:
        """The script as a model: logits from (prompt, output so far)."""
        return says(VOCABULARY.encode(self.says), VOCABULARY.size, min(VOCABULARY.eos))

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """The prompt as ids."""
        return VOCABULARY.encode(self.prompt)


def run_case(case: Case, engine: Engine | None = None, *, seed: int = 0) -> None:
    """Check a case on an engine.

    Args:
        case: the case.
        engine: an engine with the case's model, vocabulary and markers; None for a `ScriptedEngine`.
        seed: seed of the request.

    Raises:
        AssertionError: for another outcome; the message says what differs.
        UnsupportedControl: if the controls cannot work.
    """
    engine = engine or ScriptedEngine(case.model, VOCABULARY, case.markers)
    request = Request(case.prompt_ids, case.controls, case.limit, Sampling(temperature=0), seed)
    [completion] = engine.generate([request])
    receipt, kinds = completion.receipt, completion.kinds
    assert completion.text == case.text, f"expected {case.text!r}, got {completion.text!r}"
    got = (receipt.thinking_tokens, receipt.end, receipt.waits)
    expected = (case.thinking_tokens, case.end, case.waits)
    assert got == expected, f"(thinking tokens, end, waits): expected {expected}, got {got}"
    assert receipt.usage.completion == len(completion.tokens), f"the receipt counts {receipt.usage}"
    assert receipt.usage.prompt == len(request.prompt), f"the receipt counts {receipt.usage}"
    assert receipt.diverged == 0, "a token that was being written did not come"
    assert receipt.usage.thinking == kinds.count("thinking"), f"{receipt.usage} for {kinds}"
    assert receipt.usage.forced == kinds.count("injected") + kinds.count("closing"), f"{receipt.usage} for {kinds}"
    assert receipt.usage.marker == kinds.count("marker"), f"{receipt.usage} for {kinds}"
    assert receipt.usage.answer == kinds.count("answer"), f"{receipt.usage} for {kinds}"
    assert completion.finish_reason == ("stop" if case.text.endswith("<eos>") else "length"), completion.finish_reason
