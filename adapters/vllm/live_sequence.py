"""A sequence of vLLM's batch, synchronized with the list of output ids that vLLM appends to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from thinkpace.adapters.logits.attribution import DrawAttribution
from thinkpace.adapters.sequences.sequence_log import SequenceLog
from thinkpace.adapters.vllm.notes import Notes
from thinkpace.adapters.vllm.params import temperature_of
from thinkpace.adapters.vllm.terms import WireRequest
from thinkpace.processors.core.decisions import Statistics
from thinkpace.processors.core.edit import Edit
from thinkpace.processors.core.program import Program

if TYPE_CHECKING:
    from vllm import SamplingParams


class LiveSequence(SequenceLog):
    """A sequence in the batch.

    Args:
        program, prompt, seed: as in `SequenceLog`.
        continued: output ids from an earlier request; for vLLM they are the end of the prompt.
        live: output ids of this request, to which vLLM appends; ids below 0 are placeholders.
        params: sampling parameters of the request.
        notes: notes for the receipt; None to write none.
        terms: terms of the request; they give its earlier draws, and whether it has sibling sequences.
    """

    __slots__ = ("continued", "has_siblings", "live", "notes", "params", "temperature")

    def __init__(
        self,
        program: Program,
        prompt: tuple[int, ...],
        seed: int,
        continued: tuple[int, ...],
        live: list[int],
        params: SamplingParams,
        notes: Notes | None,
        terms: WireRequest,
    ) -> None:
        super().__init__(program, prompt, seed)
        self.drawn.update(terms.drawn)
        self.sync(continued)
        self.continued = continued
        self.live = live
        self.params = params
        self.notes = notes
        self.has_siblings = terms.has_siblings
        self.temperature = temperature_of(params)

    def catch_up(self) -> None:
        """Advance to the end of the live output, or rewind where vLLM removed tokens."""
        live, before = self.live, len(self.continued)
        length = len(live)
        while length and live[length - 1] < 0:
            length -= 1
        if before + length < len(self.tokens):
            self.sync([*self.continued, *live[:length]])
            if self.notes:
                self.notes.rewound(before + length)
        for token in live[len(self.tokens) - before : length]:
            self.advance(token)
            if self.notes:
                drawn = self.drawn.get(len(self.tokens) - 1)
                if drawn is not None or self.has_siblings:
                    self.notes.came(self.tokens, drawn)

    @property
    def over(self) -> bool:
        """Whether the sequence is finished."""
        last = self.live[-1] if self.live else -1
        return self.ended or last in self.program.tracker.eos or len(self.live) == self.params.max_tokens

    def receive_noted(self, statistics: Statistics) -> None:
        """Take the row statistics that the program asked for."""
        self.receive(statistics)
        if self.notes:
            self.notes.note_statistics(self.tokens, statistics)

    def wrote(self, edit: Edit, attribution: DrawAttribution) -> None:
        """Remember the edited row; `attribution` later tells which id was drawn there."""
        self.record_row(attribution, kept=1)
        at = len(self.tokens)
        # vLLM never shows us the last token of a request: note in advance which draw each token would mean
        if self.notes and at + 1 - len(self.continued) == self.params.max_tokens:
            refused = attribution(edit, -1, at)
            drawn = {token: attribution(edit, token, at) for token in edit.moved_onto}
            self.notes.expects(self.tokens, drawn, refused if refused >= 0 else None)


@dataclass(frozen=True, slots=True)
class RefusedSequence:
    """A row whose controls cannot work: its sequence is ended, never generated without them."""

    edit: Edit
    temperature: float = 0.0
