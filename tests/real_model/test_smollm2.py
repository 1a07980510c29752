"""What only a real model shows: closes of three tokens, tags that are mentioned, ends of turns, two engines."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from real_model.conftest import MARKERS
from thinkpace import BudgetForcing, ConfidenceExit, Control, LoopBreaker, Request, Sampling, ThinkBudget
from thinkpace.processors import CONTROLS
from thinkpace.processors.text.automaton import matcher
from thinkpace.processors.text.vocabulary import TokenIds

GREEDY = Sampling(0.0)
SHOWN = (
    "Answer in this form.\n"
    "Question: What is 3 + 4?\n<think>\n3 + 4 = 7\n</think>\n7\n"
    "Question: What is 12 + 9?\n<think>\n12 + 9 = 21\n</think>\n21\n"
    "Question: What is 30 + 12?\n"
)
#: a near tie, as a difference of log-probabilities: 4-bit weights round, and so does reading a prompt in other parts.
#: Two greedy runs may part there; measured up to 0.12 within llama.cpp
NEAR = 0.5


def thinking_prompt(engine: Any) -> TokenIds:
    """A plain text with examples, which opens thinking: the model goes on with a line and closes."""
    prompt: TokenIds = engine.text_prompt(SHOWN + "<think>\n")
    return prompt


def same_up_to_a_near_tie(engine: Any, prompt: TokenIds, one: TokenIds, other: TokenIds) -> None:
    """Two greedy outputs are the same, or part where the model all but ties."""
    at = next((i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
    if at is None:
        return
    [job] = engine.jobs([Request(prompt + one[:at], (), 1, GREEDY)])
    job.top = 200
    engine.submit([job])
    while not job.done:
        engine.step()
    numbers = dict(job.logprobs[0].likeliest)
    gap = numbers[one[at]] - numbers[other[at]]
    assert abs(gap) < NEAR, f"they part at token {at}, {gap:.2f} apart"


def s1_loop(engine: Any, prompt: TokenIds, waits: int, limit: int) -> TokenIds:
    """Generate, cut the close, append "Wait", prompt again: without any control of ours."""
    bound = MARKERS.bind(engine.vocabulary)
    closes, eos, wait = matcher(bound.close_spellings), engine.vocabulary.eos, engine.vocabulary.encode("Wait")
    before = dict(zip(bound.close_spellings, bound.before_close, strict=True))
    out, extensions = (), 0
    while len(out) < limit:
        [made] = engine.generate([Request(prompt + out, (), limit - len(out), GREEDY)])
        cursor, stop = 0, None
        for at, token in enumerate(made.tokens):
            cursor = closes.step(cursor, token)
            found = closes.found(cursor)
            if found is not None or token in eos:
                stop = at, found
                break
        if stop is None or extensions == waits:
            return (*out, *made.tokens)
        at, found = stop
        kept = made.tokens[:at] if found is None else (*made.tokens[: at + 1 - len(found)], *before[found])
        out, extensions = (*out, *kept, *wait), extensions + 1
    return out


@pytest.mark.parametrize("waits", [0, 1, 2, 3])
def test_waits_are_s1s_loop_token_for_token(engine: Any, waits: int) -> None:
    prompt, limit = thinking_prompt(engine), 60
    control = BudgetForcing(waits=waits, final=None, answer_reserve=0)
    [made] = engine.generate([Request(prompt, (control,), limit, GREEDY)])
    loop = s1_loop(engine, prompt, waits, limit)
    assert made.receipt.waits == waits
    end = limit - 4  # at the limit the control closes a thought that the model has opened again
    same_up_to_a_near_tie(engine, prompt, made.tokens[:end], loop[:end])
    assert "</thinkWait" not in made.text
    assert any(event.what == "took back" for event in made.receipt.events) == (waits > 0)


def test_the_margin_of_a_close_of_three_tokens(engine: Any) -> None:
    prompt = thinking_prompt(engine)
    [made] = engine.generate(
        [Request(prompt, (ConfidenceExit("margin", threshold=1e4, separators=("\n",)),), 40, GREEDY)]
    )
    assert made.receipt.end == "forced"
    assert made.receipt.events[-1].why == "confident"


@pytest.mark.parametrize("control", [(), (ThinkBudget(12, answer_reserve=15),), (ThinkBudget(0, answer_reserve=15),)])
def test_a_tag_that_is_asked_about_opens_nothing(engine: Any, control: tuple[Control, ...]) -> None:
    prompt = engine.chat([{"role": "user", "content": "What does the <think> tag mean in a chat template?"}])
    [made] = engine.generate([Request(prompt, control, 60, GREEDY)])
    [plain] = engine.generate([Request(prompt, (), 60, GREEDY)])
    same_up_to_a_near_tie(engine, prompt, made.tokens, plain.tokens)
    assert made.answer
    assert made.receipt.end == "none"


def test_the_end_of_the_turn_inside_thinking_closes(engine: Any) -> None:
    opened = engine.vocabulary.encode("<think>\n")
    prompt = (*engine.chat([{"role": "user", "content": "What is 2 + 3?"}]), *opened)
    [made] = engine.generate([Request(prompt, (LoopBreaker(),), 80, GREEDY)])
    assert made.receipt.end == "eos"


@pytest.mark.parametrize("kind", CONTROLS, ids=lambda kind: kind.__name__)
def test_receipts_recounted(engine: Any, kind: type[Control]) -> None:
    """Of every control: counts by kind from the ids alone, at a temperature."""
    for control in kind.examples():
        [made] = engine.generate([Request(thinking_prompt(engine), (control,), 140, Sampling(0.8), seed=5)])
        usage = made.receipt.usage
        counts = {kind: made.kinds.count(kind) for kind in ("thinking", "injected", "closing", "marker", "answer")}
        assert usage.thinking == counts["thinking"]
        assert usage.forced == counts["injected"] + counts["closing"]
        assert usage.marker == counts["marker"]
        assert usage.answer == counts["answer"]
        assert usage.completion == len(made.tokens)


def test_hugging_face_and_llama_cpp_say_the_same(engine: Any, gguf: Path) -> None:
    """Greedy, up to the first near tie."""
    pytest.importorskip("gguf")
    pytest.importorskip("accelerate")
    pytest.importorskip("torch")
    from thinkpace.adapters.hf.engine import HFEngine

    hf = HFEngine.from_path(gguf, markers=MARKERS)
    controls = ((), (ThinkBudget(6, answer_reserve=4),), (BudgetForcing(waits=1, final=None, answer_reserve=4),))
    for control in controls:
        request = Request(thinking_prompt(engine), control, 32, GREEDY)
        [one], [other] = hf.generate([request]), engine.generate([request])
        same_up_to_a_near_tie(engine, request.prompt, other.tokens, one.tokens)


def test_the_server_with_a_real_client(engine: Any) -> None:
    openai = pytest.importorskip("openai")
    uvicorn = pytest.importorskip("uvicorn")
    from thinkpace.adapters.serving.app import make_app

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(make_app(engine, name="sm"), log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        with openai.OpenAI(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}/v1", api_key="none") as client:
            asked = [{"role": "user", "content": "What is 2 + 3?"}]
            begun = [*asked, {"role": "assistant", "content": "<think>\nTwo and three"}]
            fields = {"max_tokens": 60, "temperature": 0, "extra_body": {"thinking_token_budget": 8}}
            [choice] = client.chat.completions.create(model="sm", messages=begun, **fields).choices
            assert choice.receipt["thinking_tokens"] <= 8
            assert choice.receipt["end"] in ("forced", "eos")
            assert choice.controls == "held"
            [choice] = client.chat.completions.create(model="sm", messages=asked, **fields).choices
            assert choice.controls == "not held"
            with pytest.raises(openai.BadRequestError, match="knows no thinking"):
                client.chat.completions.create(model="sm", messages=asked, extra_body={"think": True})
            chunks = list(client.chat.completions.create(model="sm", messages=begun, stream=True, **fields))
            assert chunks[-1].choices[0].finish_reason in ("stop", "length")
    finally:
        server.should_exit = True
        thread.join()
