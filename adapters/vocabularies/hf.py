"""A Hugging Face tokenizer as a vocabulary, and the thinking markers of its chat template.

Nothing is imported from transformers: any object that behaves like a `PreTrainedTokenizer` works.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from thinkpace.adapters.vocabularies.hf_pieces import token_pieces
from thinkpace.processors.text.chat_template import check_template_arguments, no_markers
from thinkpace.processors.text.markers import Markers
from thinkpace.processors.text.vocabulary import TokenIds


class HFVocabulary:
    """A Hugging Face tokenizer. Implements `Vocabulary`.

    Args:
        tokenizer: fast or slow.
        eos_token_ids: further ids that end a sequence, such as those of the model's generation config.
    """

    def __init__(self, tokenizer: Any, eos_token_ids: Iterable[int] = ()) -> None:
        self._tokenizer = tokenizer
        ids = set(tokenizer.get_vocab().values())
        self.size: int = max(ids) + 1
        self.unused: frozenset[int] = frozenset(range(self.size)) - ids
        named = (tokenizer.eos_token_id, *eos_token_ids)
        self.eos: frozenset[int] = frozenset(int(token) for token in named if token is not None)
        self.special: frozenset[int] = frozenset(tokenizer.all_special_ids) | self.eos

    def __eq__(self, other: object) -> bool:
        """Equal if of the same tokenizer, so that tables cached for one serve the other."""
        return isinstance(other, HFVocabulary) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[int, int, frozenset[int], frozenset[int]]:
        return id(self._tokenizer), self.size, self.eos, self.special

    @cached_property
    def pieces(self) -> tuple[bytes, ...]:
        """As `Vocabulary.pieces`; read from the tokenizer's own decoder.

        Raises:
            UnsupportedControl: if the bytes cannot be read from this kind of tokenizer.
        """
        return token_pieces(self._tokenizer, self.size)

    def chat(
        self, messages: Sequence[Mapping[str, str]], template_arguments: Mapping[str, object] | None = None
    ) -> TokenIds:
        """The prompt ids of a conversation, including the generation prompt.

        Raises:
            UnsupportedControl: for an argument that is set here, or that the template does not know.
        """
        arguments = check_template_arguments(template_arguments, getattr(self._tokenizer, "chat_template", None))
        text = self._tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=True, **arguments
        )
        return self.encode(text)

    def encode(self, text: str) -> TokenIds:
        return tuple(self._tokenizer(text, add_special_tokens=False).input_ids)

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def find_markers(tokenizer: Any, given: Markers | None = None, **template_arguments: Any) -> Markers:
    """The thinking markers of a tokenizer, found by rendering its chat template: see `Markers.from_chat_template`.

    Whether the prompt opens thinking is read from each prompt's ids, since it may depend on the arguments with which
    the prompt was rendered.

    Args:
        tokenizer: with a chat template.
        given: markers that are known; the template then only shows how its prompts end.
        template_arguments: passed on to the template.

    Raises:
        UnsupportedControl: if there is no template, or no markers in it; then pass `Markers(open, close)`.
    """
    template = getattr(tokenizer, "chat_template", None)
    texts = {name: getattr(tokenizer, name, None) or "" for name in ("bos_token", "eos_token")}
    if given is not None:
        return given.of_template(template, **texts, **template_arguments) if isinstance(template, str) else given
    if not isinstance(template, str):
        raise no_markers("this tokenizer has no chat template")
    return replace(Markers.from_chat_template(template, **texts, **template_arguments), opened_by_prompt=None)
