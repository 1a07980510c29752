"""A Hugging Face tokenizer as a vocabulary, and the thinking markers its chat template uses.

Nothing is imported from transformers: whatever behaves like a `PreTrainedTokenizer` will do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from thinkpace.errors import UnsupportedControl
from thinkpace.processors.markers import Markers
from thinkpace.processors.vocabulary import TokenIds

# What a tag around thinking is called in the templates we know; the pair must stand in the template itself.
_TAG = re.compile(r"<(/?)((?:seed:)?(?:[a-z_]*think[a-z_]*|reasoning|thought))>|\[(/?)(THINK)\]", re.IGNORECASE)
_THOUGHT, _SAID = "qq-thought-qq", "qq-answer-qq"  # texts that no template holds


class HFVocabulary:
    """How a Hugging Face tokenizer spells things. Implements `Vocabulary`.

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

    def encode(self, text: str) -> TokenIds:
        return tuple(self._tokenizer(text, add_special_tokens=False).input_ids)

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def find_markers(tokenizer: Any, **template_arguments: Any) -> Markers:
    """The thinking markers of a tokenizer, found by rendering its chat template.

    An assistant message with a reasoning part is rendered, and the pair of tags around it is taken; where the template
    drops reasoning, the pair of tags that the template itself names. Whether the prompt opens thinking is read from
    each prompt's ids, since it may depend on the arguments of the template.

    Args:
        tokenizer: with a chat template.
        template_arguments: passed on to the template.

    Raises:
        UnsupportedControl: if there is no template, or no pair of tags in it; then pass `Markers(open, close)`.
    """
    template = getattr(tokenizer, "chat_template", None)
    if not isinstance(template, str):
        raise UnsupportedControl(_NOT_FOUND.format("this tokenizer has no chat template"))
    rendered = _render_thought(tokenizer, template_arguments)
    if rendered is not None:
        before, after = rendered
        opened, closed = _last_tag(before), _first_tag(after)
        if opened and closed:
            between = after.partition(_SAID)[0]
            return Markers(opened, closed, between.lstrip() if between.strip() == closed else closed)
    names = {match.group(0) for match in _TAG.finditer(template)}
    pairs = sorted((name, closed) for name in names if (closed := _closing(name)) in names)
    if len(pairs) == 1:
        return Markers(*pairs[0])
    reason = (
        f"its chat template names {len(pairs)} pairs of thinking tags"
        if pairs
        else "its chat template names no thinking tags"
    )
    raise UnsupportedControl(_NOT_FOUND.format(reason))


_NOT_FOUND = "no thinking markers found: {}; pass markers=Markers('<open tag>', '<close tag>')"


def _render_thought(tokenizer: Any, arguments: dict[str, Any]) -> tuple[str, str] | None:
    """The text around the reasoning of a rendered assistant message; None if the template drops it."""
    said = {
        "role": "assistant",
        "content": _SAID,
        "reasoning_content": _THOUGHT,
        "reasoning": _THOUGHT,
        "thinking": _THOUGHT,
    }
    try:
        text = tokenizer.apply_chat_template([{"role": "user", "content": "q"}, said], tokenize=False, **arguments)
    except Exception:  # noqa: BLE001  # templates raise whatever they like for messages they do not know
        return None
    before, found, after = str(text).partition(_THOUGHT)
    return (before, after) if found else None


def _closing(tag: str) -> str:
    return tag[0] + "/" + tag[1:]


def _last_tag(text: str) -> str | None:
    tags = [m.group(0) for m in _TAG.finditer(text) if "/" not in m.group(0)]
    return tags[-1] if tags and text.rstrip().endswith(tags[-1]) else None


def _first_tag(text: str) -> str | None:
    match = _TAG.search(text)
    return match.group(0) if match and "/" in match.group(0) and not text[: match.start()].strip() else None
