"""The scripted model behind the real engine of llama.cpp: same logits, the whole real loop and memory around them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from tiny_gguf import made_up

from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine
from thinkpace.adapters.llama_cpp.native import Context, Feed, Logits
from thinkpace.adapters.scripted import Model, WordVocabulary
from thinkpace.processors import Markers

UNUSED = 3  # ids that stand for nothing, and are the likeliest of all


class ScriptedContext(Context):
    """Decodes as llama.cpp does, then puts the script's logits where llama.cpp's were."""

    def __init__(self, script: Model, prompt_tokens: int, size: int, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.script, self.prompt_tokens, self.size = script, prompt_tokens, size
        self.held: dict[int, list[int]] = {}
        self.decodes = 0

    def decode(self, feeds: Sequence[Feed]) -> Logits:
        rows = super().decode(feeds)
        self.decodes += 1
        place = 0
        for feed in feeds:
            tokens = self.held.setdefault(feed.sequence, [])
            assert len(tokens) == feed.at, "every token goes where the last one ended"
            tokens += feed.tokens
            if feed.wanted:
                rows[place] = 20.0
                rows[place, : self.size] = np.asarray(
                    self.script(tokens[: self.prompt_tokens], tokens[self.prompt_tokens :])
                )
                place += 1
        return rows

    def copy(self, source: int, target: int, length: int) -> None:
        assert not self.held.get(target)
        super().copy(source, target, length)
        self.held[target] = self.held[source][:length]

    def cut(self, sequence: int, length: int) -> bool:
        self.held[sequence] = self.held.get(sequence, [])[:length]
        return super().cut(sequence, length)


def scripted_llama(
    folder: Path, model: Model, vocabulary: WordVocabulary, prompt_tokens: int, markers: Markers, **options: Any
) -> LlamaCppEngine:
    """An engine that says what the script says."""
    path = folder / "words.gguf"
    if not path.exists():
        made_up(path, vocabulary.words, min(vocabulary.eos), UNUSED)
    context = partial(ScriptedContext, model, prompt_tokens, vocabulary.size)
    with mock.patch("thinkpace.adapters.llama_cpp.engine.Context", context):
        engine = LlamaCppEngine(path, markers=markers, context_tokens=256, **{"parallel": 2, "threads": 1, **options})
    engine.vocabulary = vocabulary  # the bytes of some of its words are no text, which no file can say
    return engine
