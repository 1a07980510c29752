"""The tokenizer of a GGUF file as a vocabulary, and its chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from thinkpace.adapters import _llama_native as native
from thinkpace.adapters._llama_native import ModelFile
from thinkpace.adapters.model_files import ModelFiles
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.chat_template import NOT_FOUND, ChatTemplate
from thinkpace.processors.markers import Markers
from thinkpace.processors.vocabulary import TokenIds


class LlamaVocabulary:
    """How the tokenizer of a GGUF file spells things. Implements `Vocabulary`.

    A sequence ends with every id that llama.cpp counts as an end of generation, which may be more than the file names.

    Args:
        file: open, with or without weights.
    """

    def __init__(self, file: ModelFile) -> None:
        self._file = file
        size = native.vocabulary_size(file.vocab)
        found = native.attributes(file.vocab, size)
        self.eos: frozenset[int] = frozenset(i for i, (_, ends) in enumerate(found) if ends)
        self.unused: frozenset[int] = frozenset(i for i, (kind, _) in enumerate(found) if kind & native.UNUSED)
        self.special: frozenset[int] = self.eos.union(i for i, (kind, _) in enumerate(found) if kind & native.CONTROL)
        self.size: int = size

    def __eq__(self, other: object) -> bool:
        """Of the same open file, so that tables made for one vocabulary serve the other."""
        return isinstance(other, LlamaVocabulary) and self._file.address == other._file.address

    def __hash__(self) -> int:
        return hash(self._file.address)

    @cached_property
    def pieces(self) -> tuple[bytes, ...]:
        """As `Vocabulary.pieces`."""
        found = native.pieces(self._file.vocab, self.size)
        return tuple(b"" if i in self.unused else piece for i, piece in enumerate(found))

    def encode(self, text: str) -> TokenIds:
        return native.tokenize(self._file.vocab, text)

    def decode(self, tokens: Sequence[int]) -> str:
        return b"".join(self.pieces[token] for token in tokens).decode("utf-8", "replace")


def chat_template(file: ModelFile) -> str | None:
    """The source of the file's chat template; None if it has none."""
    return file.metadata().get("tokenizer.chat_template")


def read_gguf(path: str | Path) -> ModelFiles:
    """What a GGUF file tells of its tokenizer and chat template; the weights are not loaded.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if llama.cpp cannot load it.
    """
    file = ModelFile(path, weights=False)
    context = next((v for k, v in file.metadata().items() if k.endswith(".context_length")), None)
    return ModelFiles(
        LlamaVocabulary(file),
        chat_template(file),
        None if context is None else int(context),
        native.special_texts(file.vocab),
    )


def find_markers(file: ModelFile) -> Markers:
    """The thinking markers of a GGUF file, found by rendering its chat template: see `Markers.from_chat_template`.

    Raises:
        UnsupportedControl: if there is no template, or nothing to be found in it; then pass `Markers(open, close)`.
    """
    source = chat_template(file)
    if source is None:
        raise UnsupportedControl(NOT_FOUND.format("this GGUF file has no chat template"))
    return replace(Markers.from_chat_template(source, **native.special_texts(file.vocab)), opened_by_prompt=None)


def render_chat(file: ModelFile, messages: Sequence[dict[str, str]], **arguments: object) -> str:
    """The prompt of a conversation, ready for the model to answer.

    Args:
        file: whose template is rendered.
        messages: role and content of each.
        arguments: passed on to the template.

    Raises:
        UnsupportedControl: if the file has no chat template.
        ValueError: if the template refuses the messages.
    """
    source = chat_template(file)
    if source is None:
        raise UnsupportedControl("this GGUF file has no chat template: give the prompt's ids instead of messages")
    template = ChatTemplate(source, native.special_texts(file.vocab))
    text = template.render(list(messages), add_generation_prompt=True, **arguments)
    if text is None:
        roles = ", ".join(str(message.get("role")) for message in messages) or "none"
        raise ValueError(f"the chat template of {file.path!r} refuses these messages (roles: {roles})")
    return text
