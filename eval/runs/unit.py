"""Work units: some questions under some settings, generated together by one engine, on any machine."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from thinkpace.engine import Completion, Engine, Request, Sampling
from thinkpace.errors import UnsupportedControl
from thinkpace.eval.grading.extract import Found, extract
from thinkpace.eval.runs.replay import SharedPrefix, shared_prefix
from thinkpace.eval.runs.settings import Setting
from thinkpace.eval.task import Example
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.program import Program, compile_program
from thinkpace.processors.core.replay import DrawHistory
from thinkpace.processors.text.vocabulary import TokenIds
from thinkpace.prompts.base import Prompt
from thinkpace.types import Event

Trace = tuple[tuple[int, ...], tuple[Event, ...]]


class PointJob(NamedTuple):
    """A point of the grid, reduced to what a unit needs."""

    point: str  #: id of the run point
    setting: Setting  #: its controls


@dataclass(frozen=True, slots=True)
class WorkUnit:
    """Samples that are generated together and written in one transaction. Plain data, so that it pickles.

    Args:
        prompt: the prompt that the questions are put into.
        jobs: the settings; with replay, the later ones reuse the prefix that they share with the first.
        examples: the questions.
        sample: index of the repetition.
        sampling: how tokens are drawn.
        max_new_tokens: maximum output tokens.
        seed: of the run.
        rules: extraction rules for the answer, in order.
        grader: name of the grader, for the extraction.
        replayed: whether settings share prefixes.
        number: identifies the unit when processes lock it; below 2**62.
        known: finished samples of the first setting: question -> (tokens, events).
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
    """The number of a unit: a digest of its points, its first question and its sample index."""
    names = [*(job.point for job in jobs), examples[0].id, str(sample)]
    digest = hashlib.blake2b("\0".join(names).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 2


class RawSample(NamedTuple):
    """One generated sample without its verdict."""

    point: str  #: id of its run point
    question: str  #: id of its question
    sample: int  #: its index, from 0
    seed: int  #: of its random numbers
    row: dict[str, Any]  #: all other data; only `error` if generating failed


def sample_seed(seed: int, question: str, sample: int) -> int:
    """The seed of one repetition of one question, below 2**63."""
    digest = hashlib.blake2b(f"{seed}/{question}/{sample}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def run_unit(engine: Engine, unit: WorkUnit) -> list[RawSample]:
    """Generate the samples of a unit, of the first setting before the others."""
    prompts = {example.id: prompt_ids(engine, unit.prompt, example.question) for example in unit.examples}
    programs = {job.point: _compiled(job.setting, engine, unit.max_new_tokens) for job in unit.jobs}
    first, traces, out = unit.jobs[0], dict(unit.known), list[RawSample]()

    def generate_tasks(tasks: Sequence[tuple[PointJob, Example]]) -> None:
        if not tasks:
            return
        requests = list[Request]()
        for job, example in tasks:
            prompt, start = prompts[example.id], SharedPrefix((), DrawHistory())
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

    generate_tasks([(first, example) for example in unit.examples if example.id not in unit.known])
    # all other settings in one call: an engine that reads a shared prefix only once gets them side by side
    generate_tasks([(job, example) for example in unit.examples for job in unit.jobs[1:]])
    return out


def failed_samples(unit: WorkUnit, why: Exception) -> list[RawSample]:
    """Error rows for a unit whose worker kept dying."""
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
    """The ids of a question inside a prompt, followed by the prompt's prefill of the model's turn, if it has one."""
    arguments = dict(prompt.template_arguments)
    messages = prompt.render(question)
    ids = engine.chat(messages, arguments) if arguments else engine.chat(messages)
    if not prompt.prefill:
        return ids
    markers, begins = engine.markers, prompt.prefill
    begins = begins.replace("<think>", "\0").replace("</think>", markers.close).replace("\0", markers.open)
    if engine.vocabulary.decode(ids).rstrip().endswith(markers.open.strip()):
        begins = begins.removeprefix(markers.open).lstrip("\n")  # the chat template has opened thinking already
    return ids + engine.vocabulary.encode(begins)


def check_prefill(engine: Engine, prompt: Prompt, question: str, controls: Sequence[Control]) -> None:
    """Check that no control constrains an answer that the prompt's prefill has begun.

    Raises:
        UnsupportedControl: if one does: the whole answer would have to match from the model's first token on.
    """
    ruling = next((control for control in controls if control.rules_answer), None)
    if ruling is None or not prompt.prefill:
        return
    start = engine.vocabulary.decode(prompt_ids(engine, replace(prompt, prefill=""), question))
    begins = engine.vocabulary.decode(prompt_ids(engine, prompt, question)).removeprefix(start)
    opened = engine.markers.open if start.rstrip().endswith(engine.markers.open.strip()) else ""
    if engine.markers.answer_begun(opened + begins):
        raise UnsupportedControl(
            f"the prefill {prompt.prefill!r} begins the answer, and {ruling!r} would have all of it come again: leave "
            "one of them out"
        )


def _compiled(setting: Setting, engine: Engine, max_new_tokens: int) -> Program:
    return compile_program(
        setting.controls,
        engine.vocabulary,
        engine.markers,
        max_new_tokens=max_new_tokens,
        context_tokens=engine.context_tokens,
        takes_back=engine.takes_back,
    )


def generated(engine: Engine, requests: Sequence[Request]) -> list[Completion | Exception]:
    """Completions of requests. If a batch fails, it is halved until only the failing requests have errors."""
    try:
        return [*engine.generate(requests)]
    except Exception as error:  # noqa: BLE001  # an engine may raise anything; the sweep goes on
        if len(requests) == 1:
            return [error]
        half = len(requests) // 2
        return generated(engine, requests[:half]) + generated(engine, requests[half:])


def _row(done: Completion | Exception, taken: int, setting: Setting, engine: Engine, unit: WorkUnit) -> dict[str, Any]:
    if isinstance(done, Exception):
        return {"error": f"{type(done).__name__}: {done}"}
    receipt = done.receipt
    found = None if receipt.end == "open" else _extracted(done, setting, engine, unit)
    reread = receipt.usage.reread + (receipt.usage.prompt + taken if taken else 0)
    return {
        "extracted": None if found is None else found.answer,
        "rule": None if found is None else found.rule,
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


def _extracted(done: Completion, setting: Setting, engine: Engine, unit: WorkUnit) -> Found | None:
    return extract(done.answer, _after_final(done, setting.final, engine), unit.rules, grader=unit.grader)


def _after_final(done: Completion, final: str | None, engine: Engine) -> str | None:
    """The text after the final text that the control wrote; None if it wrote none."""
    if final is None:
        return None
    end = next((i for i in range(len(done.kinds), 0, -1) if done.kinds[i - 1] in ("injected", "closing")), 0)
    start = next((i for i in range(end, 0, -1) if done.kinds[i - 1] not in ("injected", "closing")), 0)
    if not engine.vocabulary.decode(done.tokens[start:end]).rstrip().endswith(final.strip()):
        return None
    return engine.vocabulary.decode([t for t in done.tokens[end:] if t not in engine.vocabulary.special])


def _pieces(done: Completion, engine: Engine) -> list[tuple[str, str]]:
    """The output text as (kind, text), one pair per run of tokens of the same kind."""
    out, start = list[tuple[str, str]](), 0
    for end in range(1, len(done.tokens) + 1):
        if end == len(done.tokens) or done.kinds[end] != done.kinds[start]:
            out.append((done.kinds[start], engine.vocabulary.decode(done.tokens[start:end])))
            start = end
    return out
