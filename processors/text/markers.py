"""Markers: the texts that open thinking, close it naturally, and close it by force.

The three are kept apart: a template may open thinking with more than the marker, and a forced close usually contains
more than the natural one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from thinkpace.errors import MissingExtra, UnsupportedControl
from thinkpace.processors.text.chat_template import find_pair, generation_prompts
from thinkpace.processors.text.spellings import marker_spellings
from thinkpace.processors.text.vocabulary import TokenIds, Vocabulary, spell

#: values of `Markers.reopens`
REOPENS = ("line", "anywhere")


@dataclass(frozen=True, slots=True)
class Markers:
    """The markers of a model's thinking, as text.

    Args:
        open: text that opens thinking, such as `<think>`.
        close: text that closes it naturally, such as `</think>`.
        forced_close: text written to close thinking by force; it must contain `close`. Default: `close`.
        opened_by_prompt: whether the prompt has already opened thinking. None: read it from the prompt's ids (the last
            marker decides; an end-of-sequence id after it ends its turn).
        reopens: where an opening marker opens thinking in the output: "line" only at the beginning of a line, with
            nothing but white space before it, so that an answer may mention the marker; "anywhere". A marker of
            several tokens whose first one is special always opens.
        generation_prompts: texts with which the chat template ends a prompt. Of a prompt that holds one of them, only
            the last one and what follows it can open thinking, not the conversation before.

    Raises:
        TypeError: if a marker is not a text.
        ValueError: if a marker is empty, open and close are the same, `forced_close` lacks `close`, or for another
            `reopens`.

    >>> Markers("<think>", "</think>").forced_close
    '</think>'
    """

    open: str
    close: str
    forced_close: str = ""
    opened_by_prompt: bool | None = None
    reopens: str = "line"
    generation_prompts: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("open", "close", "forced_close"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} must be a text, got {getattr(self, name)!r}")
        if not self.open or not self.close:
            raise ValueError(f"both markers need a text, got open={self.open!r}, close={self.close!r}")
        if self.open == self.close:
            raise ValueError(f"open and close must differ, both are {self.open!r}")
        if self.reopens not in REOPENS:
            raise ValueError(f"reopens must be one of {', '.join(REOPENS)}, got {self.reopens!r}")
        object.__setattr__(self, "generation_prompts", tuple(self.generation_prompts))
        if not self.forced_close:
            object.__setattr__(self, "forced_close", self.close)
        if self.close not in self.forced_close:
            raise ValueError(f"forced_close must hold the close {self.close!r}, got {self.forced_close!r}")

    def answer_begun(self, text: str) -> bool:
        """Whether the text, the beginning of the model's turn, holds a part of its answer.

        >>> Markers("<think>", "</think>").answer_begun("<think>so")
        False
        """
        rest = text.rpartition(self.close)[2]
        return self.open not in rest and bool(rest.strip())

    @classmethod
    def from_chat_template(cls, template: str, **render_kwargs: Any) -> Markers:
        """The markers of a chat template, found by rendering it.

        It renders an answer with a thought and takes the text around the thought. If the template drops the thought,
        it takes the only pair of thinking tags that the template names. `opened_by_prompt` is read from the generation
        prompt under these arguments.

        Args:
            template: jinja text, as in a tokenizer's `chat_template`.
            render_kwargs: arguments of the template, such as `enable_thinking=False`; special tokens such as
                `bos_token` are empty unless given.

        Raises:
            MissingExtra: without jinja2.
            UnsupportedControl: where the template does not show the markers; then use `Markers(open, close)`.

        >>> template = "{{ messages[-1].content }}{% if add_generation_prompt %}<think>{% endif %}{# until </think> #}"
        >>> Markers.from_chat_template(template).opened_by_prompt
        True
        """
        return cls(*find_pair(template, render_kwargs), generation_prompts=generation_prompts(template, render_kwargs))

    def of_template(self, template: str, **render_kwargs: Any) -> Markers:
        """These markers, with the generation prompts of a chat template; unchanged if it cannot be read.

        Args:
            template, render_kwargs: as in `from_chat_template`.
        """
        try:
            prompts = generation_prompts(template, render_kwargs)
        except (UnsupportedControl, MissingExtra):
            return self
        return replace(self, generation_prompts=prompts)

    def to_json(self) -> dict[str, Any]:
        """The markers as a JSON object, without the generation prompts: those are the template's, not the markers'."""
        return {name: value for name, value in asdict(self).items() if name != "generation_prompts"}

    def bind(self, vocabulary: Vocabulary) -> BoundMarkers:
        """The markers as ids of this vocabulary.

        Raises:
            UnsupportedControl: if the vocabulary cannot spell a marker, or spells the close differently inside
                `forced_close`.
        """
        opens = marker_spellings(vocabulary, self.open, "the opening marker")
        closes = marker_spellings(vocabulary, self.close, "the closing marker")
        forced = spell(vocabulary, self.forced_close, "the forced close")
        if not any(_find(forced, close) is not None for close in closes):
            raise UnsupportedControl(
                f"inside the forced close {self.forced_close!r} this vocabulary spells {self.close!r} in another way, "
                "so that the end of thinking would not be seen: pass a forced_close without the text around the marker"
            )
        prompts = (vocabulary.encode(text) for text in self.generation_prompts)
        return BoundMarkers(
            opens,
            closes,
            forced,
            self.opened_by_prompt,
            self.reopens,
            self.open,
            tuple(ids for ids in prompts if ids),
            tuple(vocabulary.encode(vocabulary.decode(ids).partition(self.close)[0]) for ids in closes),
            frozenset(ids for ids in closes if len(ids) > 1 and ids[0] not in vocabulary.special),
        )


@dataclass(frozen=True, slots=True)
class BoundMarkers:
    """Markers as token ids.

    Args:
        open_spellings: every spelling of the opening marker.
        close_spellings: every spelling of the closing marker.
        forced_close: ids written to close by force; they contain one of `close_spellings`.
        opened_by_prompt, reopens: as in `Markers`.
        open_text: the opening marker.
        generation_prompts: ids of the template's generation prompts.
        before_close: for every spelling of the closing marker, the ids of the text before it in its first token.
        plain_closes: spellings of the closing marker that are several tokens of plain text: whether the model closes is
            known at the last token only. The first token of all others decides it: it is the marker, or special.
    """

    open_spellings: tuple[TokenIds, ...]
    close_spellings: tuple[TokenIds, ...]
    forced_close: TokenIds
    opened_by_prompt: bool | None = None
    reopens: str = "line"
    open_text: str = ""
    generation_prompts: tuple[TokenIds, ...] = ()
    before_close: tuple[TokenIds, ...] = ()
    plain_closes: frozenset[TokenIds] = frozenset()

    @property
    def deciding(self) -> frozenset[int]:
        """First tokens of closing markers of several tokens that decide it: the model then closes."""
        return frozenset(ids[0] for ids in self.close_spellings if len(ids) > 1 and ids not in self.plain_closes)

    @property
    def single(self) -> frozenset[int]:
        """Markers that are one token; never words of the text, whatever they spell."""
        return frozenset(ids[0] for ids in (*self.open_spellings, *self.close_spellings) if len(ids) == 1)

    @property
    def after_close(self) -> TokenIds:
        """The ids of the forced close after its marker."""
        for close in self.close_spellings:
            at = _find(self.forced_close, close)
            if at is not None:
                return self.forced_close[at + len(close) :]
        return ()

    def rests_of_close(self) -> dict[TokenIds, TokenIds]:
        """What remains to be written of the forced close, by the part of its marker that is already written.

        >>> markers = BoundMarkers(((1,),), ((7, 8, 9),), (5, 7, 8, 9, 6))
        >>> markers.rests_of_close()[()], markers.rests_of_close()[7, 8]
        ((5, 7, 8, 9, 6), (9, 6))
        """
        rests: dict[TokenIds, TokenIds] = {(): self.forced_close}
        for close in self.close_spellings:
            at = _find(self.forced_close, close)
            if at is None:
                continue
            for length in range(1, len(close) + 1):
                rests.setdefault(close[:length], self.forced_close[at + length :])
        for close in self.close_spellings:  # started in another spelling than the forced close uses: complete that one
            for length in range(1, len(close) + 1):
                rests.setdefault(close[:length], close[length:])
        return rests

    def shortest_rests(self) -> dict[TokenIds, TokenIds]:
        """The shortest rest of any closing marker, by the part of it that is already written.

        >>> BoundMarkers(((1,),), ((7, 8, 9), (7, 6)), (7, 6)).shortest_rests()
        {(): (7, 6), (7,): (6,), (7, 8): (9,)}
        """
        rests: dict[TokenIds, TokenIds] = {}
        for close in sorted(self.close_spellings, key=len):
            for length in range(len(close)):
                rests.setdefault(close[:length], close[length:])
        return rests


def _find(tokens: TokenIds, pattern: TokenIds) -> int | None:
    for at in range(len(tokens) - len(pattern) + 1):
        if tokens[at : at + len(pattern)] == pattern:
            return at
    return None
