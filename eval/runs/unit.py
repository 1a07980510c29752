"""A unit of work: some questions under some settings, generated together by one engine, wherever it runs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from thinkpace.engine import Completion, Engine, Request, Sampling
from thinkpace.eval.grading.extract import extract
from thinkpace.eval.runs.replay import SharedPrefix, shared_prefix
from thinkpace.eval.runs.settings import Setting
from thinkpace.eval.task import Example
from thinkpace.processors.core.program import Program, compile_program
from thinkpace.processors.core.replay import DrawHistory
from thinkpace.processors.text.vocabulary import TokenIds
from thinkpace.prompts.base import Prompt
from thinkpace.types import Event

Trace = tuple[tuple[int, ...], tuple[Event, ...]]


class PointJob(NamedTuple):
    """A point of the grid as a unit needs it. Args: point: its id. setting: its controls."""

    point: str
    setting: Setting


@dataclass(frozen=True, slots=True)
class WorkUnit:
    """What is generated in one go and written in one transaction. Plain data, so that it can travel.

    Args:
        prompt: what is said around the questions.
        jobs: the settings; with replay those after the first take what they share with it.
        examples: the questions.
        sample: the index of the repetition.
        sampling: how tokens are drawn.
        max_new_tokens: output tokens at most.
        seed: of the run.
        rules: where answers are looked for.
        grader: what they are for.
        replayed: whether beginnings are shared.
        number: tells units apart that processes lock; below 2**62.
        known: what the first setting's samples were, where they are done: question -> (tokens, events).
    """

    prompt: Prompt
    jobs: tuple[PointJob, ...]
    examples: tuple[Example, ...]
    sample: int
    sampling: Sampling
    max_new_tokens: int
    seed: int
    rules: tuple[str, ...]
    grader: str
    replayed: bool = False
    number: int = 0
    known: Mapping[str, Trace] = field(default_factory=dict)


def unit_number(jobs: Sequence[PointJob], examples: Sequence[Example], sample: int) -> int:
    """The number of a unit: of its points, its first question and its index of repetition."""
    names = [*(job.point for job in jobs), examples[0].id, str(sample)]
    digest = hashlib.blake2b("\0".join(names).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 2


class RawSample(NamedTuple):
    """One generated sample: its key, its seed, and everything about it but the verdict; `error` if it failed."""

    point: str
    question: str
    sample: int
    seed: int
    row: dict[str, Any]


def sample_seed(seed: int, question: str, sample: int) -> int:
    """The seed of one repetition of one question, below 2**63."""
    digest = hashlib.blake2b(f"{seed}/{question}/{sample}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def run_unit(engine: Engine, unit: WorkUnit) -> list[RawSample]:
    """Generate a unit."""
    asked = {example.id: prompt_ids(engine, unit.prompt, example.question) for example in unit.examples}
    programs = {job.point: _compiled(job.setting, engine, unit.max_new_tokens) for job in unit.jobs}
    first, traces, out = unit.jobs[0], dict(unit.known), list[RawSample]()

    def made(tasks: Sequence[tuple[PointJob, Example]]) -> None:
        if not tasks:
            return
        requests = list[Request]()
        for job, example in tasks:
            prompt, start = asked[example.id], SharedPrefix((), DrawHistory())
            if unit.replayed and example.id in traces:
                start = shared_prefix(
                    programs[job.point], *traces[example.id], programs[first.point], prompt, unit.sampling
                )
            seed = sample_seed(unit.seed, example.id, unit.sample)
            requests.append(Request(prompt, job.setting.controls, unit.max_new_tokens, unit.sampling, seed, *start))
        start_s = time.perf_counter()
        completions = generated(engine, requests)
        seconds = (time.perf_counter() - start_s) / len(requests)
        for (job, example), request, done in zip(tasks, requests, completions, strict=True):
            row = _row(done, len(request.continue_from), job.setting, engine, unit)
            row |= {"asked": engine.vocabulary.decode(request.prompt), "seconds": seconds}
            out.append(RawSample(job.point, example.id, unit.sample, request.seed, row))
            if job is first and isinstance(done, Completion):
                traces[example.id] = done.tokens, done.receipt.events

    made([(first, example) for example in unit.examples if example.id not in unit.known])
    # all others at once: an engine that reads a shared beginning once has them side by side
    made([(job, example) for example in unit.examples for job in unit.jobs[1:]])
    return out


def failed_samples(unit: WorkUnit, why: Exception) -> list[RawSample]:
    """The samples of a unit that no engine survives: each failed."""
    return [
        RawSample(
            job.point,
            example.id,
            unit.sample,
            sample_seed(unit.seed, example.id, unit.sample),
            {"error": f"{type(why).__name__}: {why}"},
        )
        for job in unit.jobs
        for example in unit.examples
    ]


def prompt_ids(engine: Engine, prompt: Prompt, question: str) -> TokenIds:
    """The ids of a question inside a prompt, with the beginning of the model's turn if the prompt has one."""
    asked = engine.chat(prompt.render(question))
    if not prompt.prefill:
        return asked
    markers, begins = engine.markers, prompt.prefill
    begins = begins.replace("<think>", "\0").replace("</think>", markers.close).replace("\0", markers.open)
    if engine.vocabulary.decode(asked).rstrip().endswith(markers.open.strip()):
        begins = begins.removeprefix(markers.open).lstrip("\n")  # the chat template has opened thinking already
    return asked + engine.vocabulary.encode(begins)


def _compiled(setting: Setting, engine: Engine, max_new_tokens: int) -> Program:
    return compile_program(
        setting.controls,
        engine.vocabulary,
        engine.markers,
        max_new_tokens=max_new_tokens,
        context_tokens=engine.context_tokens,
    )


def generated(engine: Engine, requests: Sequence[Request]) -> list[Completion | Exception]:
    """Completions; where generating fails, the request that it fails for is found, and alone has an error."""
    try:
        return [*engine.generate(requests)]
    except Exception as error:  # noqa: BLE001  # whatever an engine raises is no answer, and no end of the sweep
        if len(requests) == 1:
            return [error]
        half = len(requests) // 2
        return generated(engine, requests[:half]) + generated(engine, requests[half:])


def _row(done: Completion | Exception, taken: int, setting: Setting, engine: Engine, unit: WorkUnit) -> dict[str, Any]:
    if isinstance(done, Exception):
        return {"error": f"{type(done).__name__}: {done}"}
    receipt = done.receipt
    reread = receipt.usage.reread + (receipt.usage.prompt + taken if taken else 0)
    return {
        "extracted": None if receipt.end == "open" else _extracted(done, setting, unit),
        "text": done.text,
        "answer": done.answer,
        "pieces": _pieces(done, engine),
        "thinking_tokens": receipt.thinking_tokens,
        "usage": asdict(receipt.usage) | {"reread": reread},
        "shared": taken,
        "end": receipt.end,
        "waits": receipt.waits,
        "events": [asdict(event) for event in receipt.events],
        "finish_reason": done.finish_reason,
        "tokens": done.tokens,
        "first_answer_s": done.first_answer_s,
    }


def _extracted(done: Completion, setting: Setting, unit: WorkUnit) -> str | None:
    return extract(done.answer, setting.final, unit.rules, grader=unit.grader)


def _pieces(done: Completion, engine: Engine) -> list[tuple[str, str]]:
    """The text by kind: runs of tokens of one kind."""
    out, start = list[tuple[str, str]](), 0
    for end in range(1, len(done.tokens) + 1):
        if end == len(done.tokens) or done.kinds[end] != done.kinds[start]:
            out.append((done.kinds[start], engine.vocabulary.decode(done.tokens[start:end])))
            start = end
    return out
