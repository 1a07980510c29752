"""Check what works with a tokenizer, a chat template and an engine before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from thinkpace.errors import MissingExtra, NoLegalToken, UnsupportedControl
from thinkpace.processors.budgeting.budget import Budget
from thinkpace.processors.catalog import kind_of, names
from thinkpace.processors.controls.suppress_expressions import SuppressExpressions
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.program import compile_program
from thinkpace.processors.text.chat_template import no_markers, stance, switches
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Args:
        topic: "vocabulary", "markers", "template", "control" or "engine".
        verdict: "works", "refused", or "note" for what is neither.
        subject: what was checked.
        says: the result of the check; for a refusal, what to do.
    """

    topic: str
    verdict: Literal["works", "refused", "note"]
    subject: str
    says: str


def check_model(
    vocabulary: Vocabulary,
    chat_template: str | None,
    *,
    markers: Markers | None = None,
    controls: Sequence[Sequence[Control]] = (),
    usual: bool = False,
    context_tokens: int | None = None,
    special: dict[str, str] | None = None,
    engine: str = "hf",
) -> list[Finding]:
    """Check everything that can be checked without weights.

    Args:
        vocabulary: of the tokenizer.
        chat_template: source of the template; None if there is none.
        markers: used instead of those found in the template.
        controls: lists of controls; each list is checked as one setting.
        usual: whether to check an example of every kind of control as well.
        context_tokens: size of the model's context.
        special: special tokens that the template uses: name -> text.
        engine: "hf", "llama.cpp" or "vllm".
    """
    findings = list(_vocabulary(vocabulary))
    try:
        if markers is not None:
            findings += [*_markers(vocabulary, markers), *_foreign(markers, chat_template)]
        elif chat_template is None:
            raise no_markers("there is no chat template")
        else:
            markers = Markers.from_chat_template(chat_template, **(special or {}))
            findings += [*_markers(vocabulary, markers), *_template(chat_template, special or {})]
    except (UnsupportedControl, MissingExtra) as error:
        says = f"{error} (on the command line: --open and --close)" if _is_about_markers(error) else str(error)
        return [*findings, Finding("markers", "refused", "thinking", says)]
    for chain in controls:
        findings.append(_control(chain, vocabulary, markers, context_tokens, engine))
    for name in names() if usual else ():
        try:
            examples = kind_of(name).examples()
        except ValueError as error:  # a control of another package
            findings.append(Finding("control", "refused", name, str(error)))
            continue
        for control in examples:
            findings.append(_control([control], vocabulary, markers, context_tokens, engine, is_usual=True))
    return [*findings, *_ENGINES[engine]]


def _is_about_markers(error: Exception) -> bool:
    return isinstance(error, UnsupportedControl) and error.field == "markers"


def all_work(findings: Iterable[Finding]) -> bool:
    """Whether nothing was refused."""
    return all(finding.verdict != "refused" for finding in findings)


def _vocabulary(vocabulary: Vocabulary) -> Iterator[Finding]:
    ends = ", ".join(f"{token} {vocabulary.decode((token,))!r}" for token in sorted(vocabulary.eos)) or "none"
    says = f"{vocabulary.size} ids, {len(vocabulary.unused)} of them unused; a sequence ends with {ends}"
    yield Finding("vocabulary", "works" if vocabulary.eos else "refused", "ids", says)
    try:
        pieces = vocabulary.pieces
    except UnsupportedControl as error:
        yield Finding("vocabulary", "refused", "bytes of tokens", str(error))
        return
    yield Finding("vocabulary", "works", "bytes of tokens", f"known for {sum(map(bool, pieces))} ids")


def _markers(vocabulary: Vocabulary, markers: Markers) -> Iterator[Finding]:
    bound = markers.bind(vocabulary)
    for name, text, spelled in (
        ("open", markers.open, bound.open_spellings),
        ("close", markers.close, bound.close_spellings),
    ):
        ids = spelled[0]
        back = vocabulary.decode(ids)
        says = f"{text!r} is {_ids(ids)}, reads back as {back!r}"
        if len(spelled) > 1:
            says += f"; {len(spelled)} spellings where it merges with what stands beside it"
        yield Finding("markers", "works", name, says)
    forced = bound.forced_close
    yield Finding("markers", "works", "written to close", f"{markers.forced_close!r} is {_ids(forced)}")


def _foreign(markers: Markers, chat_template: str | None) -> Iterator[Finding]:
    """A note on markers that the chat template does not name: the model may never write them."""
    if chat_template is None or markers.open not in chat_template:
        says = (
            f"{markers.open!r} is not in the chat template: a model that was not trained with it never opens thinking, "
            "and controls of thinking then have nothing to act on; --prefill opens it"
        )
        yield Finding("markers", "note", "open", says)


def _ids(ids: Sequence[int]) -> str:
    return f"one token, {ids[0]}" if len(ids) == 1 else f"{len(ids)} tokens, {', '.join(map(str, ids))}"


def _template(source: str, special: dict[str, str]) -> Iterator[Finding]:
    usual = stance(source, **special)
    says = "closes it: without an argument that opens it there is nothing to control" if usual == "closes" else usual
    yield Finding("template", "note", "the generation prompt, to thinking", says)
    for argument, does in switches(source, **special).items():
        yield Finding("template", "note", argument, does)


def _control(
    chain: Sequence[Control],
    vocabulary: Vocabulary,
    markers: Markers,
    context_tokens: int | None,
    engine: str,
    *,
    is_usual: bool = False,
) -> Finding:
    name = " + ".join(map(repr, chain))
    try:
        compile_program(chain, vocabulary, markers, context_tokens=context_tokens, takes_back=engine != "vllm")
    except MissingExtra as error:
        return Finding("control", "note" if is_usual else "refused", name, str(error))
    except (ValueError, TypeError, NoLegalToken) as error:
        plain = is_usual and isinstance(error, UnsupportedControl) and "plain text" in str(error)
        return Finding("control", "note" if plain else "refused", name, str(error))
    says = [*_taken_back(chain, vocabulary, markers, context_tokens, engine)]
    if any("trial" in control.statistics for control in chain):
        if engine == "vllm":
            return Finding("control", "note" if is_usual else "refused", name, "needs a fork: not on vLLM")
        engine_class = {"hf": "HFEngine", "llama.cpp": "LlamaCppEngine"}[engine]
        says.append(f"with {engine_class} only: a plain logits processor cannot fork")
    if engine == "hf" and any(control.moves_probability for control in chain):
        says.append("moves probability: tell logits_processors the temperature")
    hits = [
        len(control.hits(vocabulary, markers.bind(vocabulary)))
        for control in chain
        if isinstance(control, SuppressExpressions)
    ]
    if hits:
        says.append(f"{sum(hits)} vocabulary {'entry' if sum(hits) == 1 else 'entries'} cannot come")
    bars = [
        control
        for control in chain
        if isinstance(control, SuppressExpressions) or (isinstance(control, Budget) and control.guard)
    ]
    if bars and any(control.rules_answer for control in chain):
        says.append("where an answer needs a word that is barred, no token is left: NoLegalToken")
    limits = [control.max_tokens or 0 for control in chain if isinstance(control, Budget)]
    if context_tokens is not None and max(limits, default=0) >= context_tokens:
        says.append(f"the model holds {context_tokens} tokens: the limit cannot be reached")
    return Finding("control", "works", name, "; ".join(says) or "as described")


def _taken_back(
    chain: Sequence[Control], vocabulary: Vocabulary, markers: Markers, context_tokens: int | None, engine: str
) -> Iterator[str]:
    """What a logits processor alone would refuse of these controls."""
    if engine == "vllm":
        return
    try:
        compile_program(chain, vocabulary, markers, context_tokens=context_tokens)
    except UnsupportedControl:
        engine_class = {"hf": "HFEngine", "llama.cpp": "LlamaCppEngine"}[engine]
        yield (
            f"with {engine_class}, which takes back a close of several tokens of plain text; logits_processors needs "
            "approximate=True"
        )


_ENGINES = {
    "hf": (
        Finding(
            "engine",
            "note",
            "generate",
            "greedy, sampling, batches, beams, assisted generation, prompt lookup, streaming",
        ),
        Finding("engine", "note", "generate_batch", "refused: continuous batching ignores logits processors"),
    ),
    "llama.cpp": (
        Finding("engine", "note", "LlamaCppEngine", "greedy, sampling, many sequences at once, streaming, serving"),
        Finding(
            "engine", "note", "Llama", "create_completion and create_chat_completion, with logit_bias and grammars"
        ),
        Finding("engine", "note", "draft_model", "refused: it shows processors tokens that are not yet decided"),
    ),
    "vllm": (
        Finding("engine", "note", "V1 runner", "greedy, sampling, n samples, streaming, serving, preemption"),
        Finding("engine", "note", "Model Runner V2", "on the device: tested on CPU tensors only, no receipts"),
        Finding("engine", "note", "speculative decoding", "on the V1 runner refused by vLLM beside logits processors"),
    ),
}
