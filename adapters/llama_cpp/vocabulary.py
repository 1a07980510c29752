"""The tokenizer of a GGUF file as a vocabulary, and its chat template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path

from thinkpace.adapters.llama_cpp import native
from thinkpace.adapters.llama_cpp.native import ModelFile
from thinkpace.adapters.vocabularies.model_files import ModelFiles
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.text.chat_template import ChatTemplate, check_template_arguments, no_markers
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import TokenIds


class LlamaVocabulary:
    """The tokenizer of a GGUF file. Implements `Vocabulary`. Made by `vocabulary_of`.

    A sequence ends with every id that llama.cpp counts as an end of generation, which may be more than the file names.

    Args:
        file: open without weights, because caches keep vocabularies alive and must not hold anything larger.
        key: of the file; equal keys mean the same file.
    """

    def __init__(self, file: ModelFile, key: tuple[str, int, int]) -> None:
        self.file = file
        self._key = key
        size = native.vocabulary_size(file.vocab)
        flags = native.attributes(file.vocab, size)
        self.eos: frozenset[int] = frozenset(i for i, (_, ends) in enumerate(flags) if ends)
        self.unused: frozenset[int] = frozenset(i for i, (kind, _) in enumerate(flags) if kind & native.UNUSED)
        self.special: frozenset[int] = self.eos.union(i for i, (kind, _) in enumerate(flags) if kind & native.CONTROL)
        self.size: int = size

    def __eq__(self, other: object) -> bool:
        """Equal if from the same file, so that tables cached for one serve the other."""
        return isinstance(other, LlamaVocabulary) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @cached_property
    def pieces(self) -> tuple[bytes, ...]:
        """As `Vocabulary.pieces`."""
        pieces = native.pieces(self.file.vocab, self.size)
        return tuple(b"" if i in self.unused else piece for i, piece in enumerate(pieces))

    def encode(self, text: str) -> TokenIds:
        return native.tokenize(self.file.vocab, text)

    def decode(self, tokens: Sequence[int]) -> str:
        return b"".join(self.pieces[token] for token in tokens).decode("utf-8", "replace")


def vocabulary_of(path: str | Path) -> LlamaVocabulary:
    """The vocabulary of a GGUF file; the same object while the file is unchanged.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if llama.cpp cannot load it.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    return _vocabulary(file_key(path))


def file_key(path: str | Path) -> tuple[str, int, int]:
    """Identifies a file by its path, size and modification time."""
    whole = Path(path).resolve()
    stat = whole.stat()
    return str(whole), stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=4)
def _vocabulary(key: tuple[str, int, int]) -> LlamaVocabulary:
    return LlamaVocabulary(ModelFile(key[0], weights=False), key)


def chat_template(file: ModelFile) -> str | None:
    """The source of the file's chat template; None if it has none."""
    return file.metadata().get("tokenizer.chat_template")


def read_gguf(path: str | Path) -> ModelFiles:
    """Read the tokenizer, chat template and context length of a GGUF file, without its weights.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if llama.cpp cannot load it.
    """
    vocabulary = vocabulary_of(path)
    file = vocabulary.file
    context = next((v for k, v in file.metadata().items() if k.endswith(".context_length")), None)
    return ModelFiles(
        vocabulary,
        chat_template(file),
        None if context is None else int(context),
        native.special_texts(file.vocab),
    )


def find_markers(file: ModelFile, given: Markers | None = None) -> Markers:
    """The thinking markers of a GGUF file, found by rendering its chat template: see `Markers.from_chat_template`.

    Args:
        file: the file.
        given: markers that are known; the template then only shows how its prompts end.

    Raises:
        UnsupportedControl: if there is no template, or no markers in it; then pass `Markers(open, close)`.
    """
    source = chat_template(file)
    texts = native.special_texts(file.vocab)
    if given is not None:
        return given if source is None else given.of_template(source, **texts)
    if source is None:
        raise no_markers("this GGUF file has no chat template")
    return replace(Markers.from_chat_template(source, **texts), opened_by_prompt=None)


def render_chat(file: ModelFile, messages: Sequence[dict[str, str]], arguments: Mapping[str, object]) -> str:
    """The prompt of a conversation as text, including the generation prompt.

    Args:
        file: whose template is rendered.
        messages: role and content of each.
        arguments: passed on to the template.

    Raises:
        UnsupportedControl: if the file has no chat template or it refuses the messages, or an argument is set here.
    """
    return _rendered(file, messages, arguments, add_generation_prompt=True)


def render_continued(file: ModelFile, messages: Sequence[dict[str, str]], arguments: Mapping[str, object]) -> str:
    """The prompt of a conversation whose last message is to be continued, up to the end of that message's text.

    Args:
        file, messages, arguments: as for `render_chat`.

    Raises:
        UnsupportedControl: as `render_chat`, or if the template does not show the message as it is.
    """
    whole = str(messages[-1].get("content", ""))
    content = whole.rstrip()
    text = _rendered(file, messages, arguments, add_generation_prompt=False)
    at = text.rfind(content)
    if not content or at < 0:
        raise UnsupportedControl(
            "the last message of the assistant cannot be continued: it is empty, or the chat template changes it",
            field="messages",
        )
    return text[:at] + whole  # templates strip white space at its end


def _rendered(
    file: ModelFile, messages: Sequence[dict[str, str]], arguments: Mapping[str, object], **settings: bool
) -> str:
    source = chat_template(file)
    arguments = check_template_arguments(arguments, source)
    if source is None:
        raise UnsupportedControl("this GGUF file has no chat template: give the prompt's ids instead of messages")
    template = ChatTemplate(source, native.special_texts(file.vocab))
    text = template.render(list(messages), **settings, **arguments)
    if text is None:
        roles = ", ".join(str(message.get("role")) for message in messages) or "none"
        raise UnsupportedControl(f"the model's chat template refuses these messages (roles: {roles})", field="messages")
    return text
