"""An engine that follows a script: the real controls, sampling and bookkeeping on made-up logits, in milliseconds.

The model is any function from (prompt, output so far) to a row of logits. `says` builds one that generates a given
text and continues it after controls have inserted tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from thinkpace.adapters.logits.attribution import DrawAttribution, RowCopy
from thinkpace.adapters.logits.randomness import draw, probabilities, token_use, uniform
from thinkpace.adapters.logits.reference import Row, edited
from thinkpace.adapters.logits.statistics import confidence, row_statistic
from thinkpace.adapters.sequences.requests import begin, compile_requests, completion, is_done
from thinkpace.adapters.sequences.sequence_log import SequenceLog
from thinkpace.engine import Completion, Request, Sampling
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.core.decisions import RowStatistic
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import TokenIds, Vocabulary

Model = Callable[[Sequence[int], Sequence[int]], Sequence[float] | NDArray[np.float64]]


@dataclass(frozen=True)
class WordVocabulary:
    """A vocabulary of whole words, for scripts. Encoding takes the longest matching word at each position.

    Args:
        words: the index of a word is its id.
        eos_word: the word that ends a sequence.

    >>> WordVocabulary(("<think>", "</think>", "Wait", "<eos>")).encode("<think>Wait")
    (0, 2)
    """

    words: tuple[str, ...]
    eos_word: str = "<eos>"
    size: int = field(init=False)
    unused: frozenset[int] = field(init=False, default=frozenset())
    eos: frozenset[int] = field(init=False)
    pieces: tuple[bytes, ...] = field(init=False, compare=False)
    special: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        if self.eos_word not in self.words:
            raise ValueError(f"the words must hold eos_word={self.eos_word!r}")
        object.__setattr__(self, "size", len(self.words))
        object.__setattr__(self, "eos", frozenset({self.words.index(self.eos_word)}))
        object.__setattr__(self, "special", self.eos)
        object.__setattr__(self, "pieces", tuple(word.encode() for word in self.words))

    def encode(self, text: str) -> TokenIds:
        ids: list[int] = []
        while text:
            fitting = [word for word in self.words if word and text.startswith(word)]
            if fitting:
                word = max(fitting, key=len)
                ids.append(self.words.index(word))
                text = text[len(word) :]
            else:
                text = text[1:]  # a character that begins no word is dropped; decoding the ids shows it
        return tuple(ids)

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(self.words[token] for token in tokens)


def says(tokens: Sequence[int], size: int, eos: int, *, likeliest: float = 10.0) -> Model:
    """A model that generates `tokens` in order, then ends.

    It finds its position by counting how many of its own tokens are in the output; inserted tokens are skipped.

    Args:
        tokens: the script.
        size: vocabulary size.
        eos: the id generated at the end.
        likeliest: logit of the next token; all other logits are 0.
    """

    def model(_prompt: Sequence[int], output: Sequence[int]) -> list[float]:
        place = 0
        for token in output:
            if place < len(tokens) and token == tokens[place]:
                place += 1
        row = [0.0] * size
        row[tokens[place] if place < len(tokens) else eos] = likeliest
        return row

    return model


class ScriptedEngine:
    """Generates from a function. Implements `Engine`.

    Args:
        model: (prompt, output so far) -> logits, at least as many as the vocabulary has ids.
        vocabulary: the script's vocabulary; a `WordVocabulary` is enough.
        markers: the thinking markers.
        context_tokens: context length in tokens; None for no limit.
    """

    name = "scripted"
    identity = "a function"
    can_continue = True
    takes_back = True

    def __init__(
        self, model: Model, vocabulary: Vocabulary, markers: Markers, context_tokens: int | None = None
    ) -> None:
        self.model = model
        self.context_tokens = context_tokens
        self.vocabulary = vocabulary
        self.markers = markers

    def chat(
        self, messages: Sequence[dict[str, str]], template_arguments: Mapping[str, object] | None = None
    ) -> TokenIds:
        """The contents of the messages, one after another; a script has no chat template, and takes no arguments.

        Raises:
            UnsupportedControl: for template arguments.
        """
        if template_arguments:
            raise UnsupportedControl("a scripted model has no chat template", field="template_arguments")
        return self.vocabulary.encode("".join(message["content"] for message in messages))

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        programs = compile_requests(requests, self.vocabulary, self.markers, self.context_tokens, takes_back=True)
        return [self._finish(begin(p, r), r) for p, r in zip(programs, requests, strict=True)]

    def _finish(self, log: SequenceLog, request: Request) -> Completion:
        sampling = request.sampling
        while not is_done(log, request):
            row = self._row(log, log.tokens)
            if log.wants:
                log.receive({need: self._number(need, row, log) for need in log.wants})
            changed = edited(row, log.edit, sampling.temperature)
            log.record_row(
                DrawAttribution(RowCopy(row, log.edit, sampling.temperature), sampling.temperature, request.seed)
            )
            u = uniform(request.seed, len(log.tokens), token_use(log.retractions))
            log.advance(draw(filtered(changed, sampling), sampling.temperature, u))
            if log.take_back is not None:
                log.retract()
        return completion(log, request, self.vocabulary)

    def _row(self, log: SequenceLog, output: Sequence[int]) -> Row:
        row = np.array(self.model(log.prompt, output), dtype=np.float64)
        row[[*log.program.unused, *range(log.program.size, len(row))]] = -np.inf
        return row

    def _number(self, need: RowStatistic, row: Row, log: SequenceLog) -> float:
        if need.kind == "uniform":
            return uniform(log.seed, len(log.tokens), "control")
        if need.kind != "trial":
            return row_statistic(row, need.kind, log.close_ids)
        output, logs = [*log.tokens, *need.suffix], list[float]()
        log.trials = (log.trials[0], log.trials[1] + len(log.prompt) + len(output))
        while len(logs) < need.max_tokens:
            row = self._row(log, output)
            token = int(row.argmax())
            output.append(token)
            logs.append(float(np.log(probabilities(row, 1.0)[token])))
            if token in log.program.ends_trials:
                break
        log.trials = (log.trials[0] + len(logs), log.trials[1])
        return confidence(logs)


def filtered(row: Row, sampling: Sampling) -> Row:
    """The row after top-k, top-p and min-p, in this order: removed ids get -inf; ties at the k-th place all stay."""
    if not sampling.filters:
        return row
    out = row.copy()
    if sampling.top_k and sampling.top_k < len(row):
        out[out < np.sort(out)[-sampling.top_k]] = -np.inf
    if sampling.top_p < 1:
        order = np.argsort(-out, kind="stable")
        weights = np.exp((out[order] - out[order[0]]) / sampling.temperature)
        before = np.cumsum(weights / weights.sum()) - weights / weights.sum()
        out[order[before >= sampling.top_p]] = -np.inf
    if sampling.min_p > 0:
        out[out < out.max() + sampling.temperature * np.log(sampling.min_p)] = -np.inf
    return out
