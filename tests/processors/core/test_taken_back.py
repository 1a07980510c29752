"""A close of several tokens of plain text is taken back: one pass is s1's loop of stopping, cutting, prompting."""

from __future__ import annotations

from collections import defaultdict

import pytest
from support.enumeration import EOS, OPEN, SO, VOCABULARY, WAIT, A, Output, Walk, logits

from thinkpace import BudgetForcing, Markers, ThinkBudget, UnsupportedControl
from thinkpace.adapters.logits.randomness import probabilities
from thinkpace.adapters.scripted import ScriptedEngine, WordVocabulary, says
from thinkpace.engine import Request, Sampling
from thinkpace.processors import compile_program

MARKERS = Markers("<think>", "aso")  # two tokens of plain text
CLOSE = (A, SO)
PROMPT = (OPEN,)


def s1(waits: int, temperature: float, limit: int) -> dict[Output, float]:
    """Generate until the marker is complete; cut it, append "Wait", and prompt again. Every output, by probability."""
    found: dict[Output, float] = defaultdict(float)
    pending: list[tuple[Output, int, bool, float]] = [((), 0, True, 1.0)]
    while pending:
        out, extensions, thinks, probability = pending.pop()
        if len(out) >= limit or (out and out[-1] == EOS):
            found[out[:limit]] += probability
            continue
        shares = probabilities(logits([*PROMPT, *out]), temperature)
        for token in shares.nonzero()[0].tolist():
            new, share = (*out, token), probability * float(shares[token])
            if thinks and (new[-2:] == CLOSE or token == EOS):
                text = new[:-1] if token == EOS else new[:-2]
                if extensions < waits:
                    pending.append(((*text, WAIT), extensions + 1, True, share))
                elif token == EOS:  # what is already written of the marker stays, and is completed
                    rest = (SO,) if text[-1:] == (A,) else CLOSE
                    pending.append(((*text, *rest), extensions, False, share))
                else:
                    pending.append((new, extensions, False, share))
            else:
                pending.append((new, extensions, thinks, share))
    return found


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.3])
@pytest.mark.parametrize("waits", [0, 1, 2, 3])
def test_one_pass_is_the_loop_in_distribution(waits: int, temperature: float) -> None:
    control = BudgetForcing(waits=waits, final=None, answer_reserve=0)
    program = compile_program([control], VOCABULARY, MARKERS, takes_back=True)
    one_pass = Walk(program, temperature, 5).outputs(PROMPT)
    loop = s1(waits, temperature, 5)
    assert one_pass.keys() == loop.keys()
    assert sum(loop.values()) == pytest.approx(1)
    for output, probability in loop.items():
        assert one_pass[output] == pytest.approx(probability), VOCABULARY.decode(output)


def test_waits_that_would_follow_a_half_written_marker_are_refused() -> None:
    with pytest.raises(UnsupportedControl, match=r"'aso' is 2 tokens of plain text.*approximate=True"):
        compile_program([BudgetForcing(waits=1)], VOCABULARY, MARKERS)
    with pytest.raises(UnsupportedControl, match="plain text"):
        compile_program([BudgetForcing(min_tokens=2)], VOCABULARY, MARKERS)
    with pytest.raises(UnsupportedControl, match="what comes instead would follow"):
        compile_program([ThinkBudget(min_tokens=2)], VOCABULARY, MARKERS)
    compile_program([ThinkBudget(min_tokens=2, approximate=True)], VOCABULARY, MARKERS)
    compile_program([ThinkBudget(min_tokens=2)], VOCABULARY, MARKERS, takes_back=True)
    compile_program([BudgetForcing(waits=1, final=None, approximate=True)], VOCABULARY, MARKERS)
    compile_program([BudgetForcing(9, final=None)], VOCABULARY, MARKERS)
    compile_program([BudgetForcing(waits=1, final=None)], VOCABULARY, Markers("<think>", "</think>"))


def test_text_of_the_thought_inside_the_markers_first_token_stays() -> None:
    """Tokenizers merge what stands before a marker with its beginning."""
    words = WordVocabulary(("<t>", ".<", "<", "/t>", "Wait", "a", ".", "7", "<eos>"))
    markers = Markers("<t>", "</t>")
    script = [words.words.index(word) for word in ("a", ".<", "/t>", "7")]
    engine = ScriptedEngine(says(script, words.size, words.words.index("<eos>")), words, markers)
    request = Request((0,), (BudgetForcing(waits=1, final=None, answer_reserve=0),), 20, Sampling(0.0))
    [made] = engine.generate([request])
    assert made.text.startswith("a.Wait")
    assert made.receipt.waits == 1
    assert made.receipt.events[0].what == "took back"


@pytest.mark.parametrize("special", [True, False])
def test_a_close_whose_first_token_is_special_is_decided_there(special: bool) -> None:
    """gpt-oss: thinking ends with <|end|>, whatever channel follows."""

    class Vocabulary(WordVocabulary):
        def __post_init__(self) -> None:
            super().__post_init__()
            if special:
                object.__setattr__(self, "special", self.eos | {self.words.index("<|end|>")})

    words = Vocabulary(("<t>", "<|end|>", "final", "Wait", "a", "7", "<eos>"))
    control = BudgetForcing(waits=1, final=None, answer_reserve=0, approximate=True)
    program = compile_program([control], words, Markers("<t>", "<|end|>final"))
    state = program.step(program.start([0]), words.words.index("a"))
    end, wait = words.words.index("<|end|>"), words.words.index("Wait")
    assert (state.edit.redirect.get(end) == wait) is special
