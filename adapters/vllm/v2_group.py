"""The slots of all requests with the same controls: their states as tensors, advanced to their current tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from thinkpace.adapters.device.columns import Ids, Mask, map_columns, where
from thinkpace.adapters.device.program import DeviceProgram, Rows
from thinkpace.adapters.device.writer import Drawn, uniform, write
from thinkpace.adapters.logits.torch_statistics import device_statistic
from thinkpace.adapters.logits.torch_writer import FORCED_LOGIT, ScoreWriter
from thinkpace.adapters.vllm.served_model import ServedModel
from thinkpace.processors.core.decisions import FOREVER, Statistic
from thinkpace.processors.core.program import Program
from thinkpace.processors.core.replay import replay

_NUMBER, _REDRAW, _MOVE = 0, 1, 2  # purposes of random numbers


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A request whose tokens are not on the device yet.

    Args:
        group: number of its group.
        max_new, seed, temperature: as in `Group.start`.
        seed_is_own: whether the seed is from the request, and not random.
    """

    group: int
    max_new: int | None
    seed: int
    temperature: float
    seed_is_own: bool


class SlotStates(NamedTuple):
    """The states of the slots of a group, in columns with one row per slot.

    Args:
        rows: program states after `length` tokens, before the decision about the next token.
        length: number of tokens of prompt and output.
        prompt: number of tokens of the prompt.
        digest: digest of the tokens, which identifies a sequence.
        seed: seed of the random numbers.
        temperature: sampling temperature; 0 for greedy.
        decided: program states with the decision about the next token: after the newest token, then after each draft.
        drawn: what the model drew at the same places.
        ahead: digests of the tokens before the same places, drafts included.
    """

    rows: Rows
    length: Ids
    prompt: Ids
    digest: Ids
    seed: Ids
    temperature: torch.Tensor
    decided: tuple[Rows, ...]
    drawn: tuple[Drawn, ...]
    ahead: tuple[Ids, ...]


class Group:
    """The slots of all requests with the same controls.

    Args:
        program: the controls, compiled without a request's limit.
        model: the served model.
        slots: number of slots.
        drafts: maximum number of draft tokens per step of a request.
        device: device of the tokens.

    Raises:
        UnsupportedControl: if a control cannot run on the device.
    """

    def __init__(self, program: Program, model: ServedModel, slots: int, drafts: int, device: torch.device) -> None:
        self._program = program
        self._form = DeviceProgram(program, model.vocabulary, device)
        self._size, self._eos = model.vocabulary.size, last_id(model)
        self._drafts = drafts
        self._device = device
        rows = self._form.columns([program.start(())], [None])
        nothing = torch.zeros(1, device=device)
        wants = {kind: (nothing.double(), mask) for kind, mask in self._form.wants(rows).items()}
        moves = sum(step.kind == "redirect" for step in self._form.decide(rows, wants)[2].writes)
        no_ids = torch.full((1, moves), -1, device=device)
        blank = SlotStates(
            rows,
            *(nothing.long(),) * 4,
            nothing.double(),
            (rows,) * (drafts + 1),
            (Drawn(no_ids.new_full((1,), -1), no_ids, no_ids),) * (drafts + 1),
            (no_ids.new_zeros((1,)),) * (drafts + 1),
        )
        self._states: SlotStates = map_columns(lambda column: column.repeat(slots, *[1] * (column.dim() - 1)), blank)

    def snapshot(self, slot: int) -> SlotStates:
        """A copy of the state of one slot."""
        return _row(self._states, slot)

    def find_match(
        self, coming: PendingRequest, tokens: Sequence[int], prompt: int, parked: Sequence[SlotStates]
    ) -> SlotStates | None:
        """Find the stored state of a sequence with the same terms and these tokens, or all but the last of them.

        Args:
            coming: the terms.
            tokens: ids of prompt and output.
            prompt: number of prompt tokens.
            parked: states saved from slots that were reassigned; they are searched before the current slots.

        Returns:
            A copy of the state; None if there is no match.
        """
        *_, before, whole = (0, *_digests(tokens))  # digests of all tokens but the last one, and of all
        places = [map_columns(lambda *rows: torch.cat(rows), *parked)] if parked else []
        for missing in range(min(self._drafts + 2, len(tokens) - prompt + 1)):  # fewest missing tokens first
            for states in (*places, self._states):
                digest = states.ahead[missing - 1] == before if missing else states.digest == whole
                matches = digest & (states.length == len(tokens) - missing) & (states.prompt == prompt)
                matches &= states.rows.track.max_new == (FOREVER if coming.max_new is None else coming.max_new)
                matches &= states.temperature == coming.temperature
                if coming.seed_is_own:
                    matches &= states.seed == coming.seed
                [rows] = torch.nonzero(matches, as_tuple=True)
                if len(rows):
                    return _row(states, int(rows[0]))
        return None

    def restore(self, slot: int, one: SlotStates) -> None:
        """Set the state of one slot."""
        self._restore(torch.tensor([slot], device=self._device), one)

    def _restore(self, slots: Ids, states: SlotStates) -> None:
        map_columns(lambda column, values: column.index_copy_(0, slots, values), self._states, states)

    def start(
        self, slot: int, tokens: Sequence[int], prompt: int, max_new: int | None, seed: int, temperature: float
    ) -> None:
        """Start a sequence in a slot. Its state is replayed from its tokens, without a draw history.

        Args:
            slot: the slot.
            tokens: ids of prompt and output.
            prompt: number of prompt tokens.
            max_new: maximum number of output tokens; None for no limit.
            seed, temperature: as in `SlotStates`.
        """
        state = replay(self._program, tokens[:prompt], tokens[prompt:])
        rows = self._form.columns([state], [max_new])
        old = self.snapshot(slot)

        def number(value: int) -> Ids:
            return torch.tensor([value], device=self._device)

        temperatures = torch.tensor([temperature], dtype=torch.float64, device=self._device)
        numbers = number(len(tokens)), number(prompt), number(digest(tokens)), number(seed)
        no_digests = tuple(torch.zeros_like(digest) for digest in old.ahead)
        self.restore(slot, SlotStates(rows, *numbers, temperatures, old.decided, old.drawn, no_digests))

    def apply(
        self, logits: torch.Tensor, slots: Ids, places: Sequence[tuple[Ids, Mask]], tokens: Tokens, writer: ScoreWriter
    ) -> None:
        """Advance slots to their current tokens and edit their rows.

        Args:
            logits: Float[rows, vocabulary], changed in place.
            slots: slots of this group that have rows in this call.
            places: for the newest token, then for each draft: the row of every slot, and whether it has one.
            tokens: tokens of all slots, and drafts.
            writer: bars ids that stand for no token.
        """
        states: SlotStates = map_columns(lambda column: column[slots], self._states)
        states = self._caught_up(states, slots, tokens)
        rows, decided, drawn, marks = states.rows, list(states.decided), list(states.drawn), list(states.ahead)
        digest = states.digest
        for ahead, (at, there) in enumerate(places):
            marks[ahead] = digest
            decided[ahead], drawn[ahead] = self._edited(logits, at, there, rows, states, ahead, writer)
            if ahead + 1 < len(places):
                draft = tokens.drafts[places[ahead + 1][0]].long()
                rows, digest = (
                    self._form.step(decided[ahead], draft, *drawn[ahead].of(draft)),
                    _next_digest(digest, draft),
                )
        self._restore(slots, states._replace(decided=tuple(decided), drawn=tuple(drawn), ahead=tuple(marks)))

    def _caught_up(self, states: SlotStates, slots: Ids, tokens: Tokens) -> SlotStates:
        total = tokens.total[slots].long()
        new = (total - states.length).clamp(0, self._drafts + 1)
        decided, drawn = states.decided[0], states.drawn[0]
        for ahead in range(1, self._drafts + 1):  # new tokens before the newest are accepted drafts
            decided = where(new > ahead, states.decided[ahead], decided)
            drawn = where(new > ahead, states.drawn[ahead], drawn)
        digest = states.digest
        for back in range(self._drafts, -1, -1):
            token = tokens.all[slots, (total - 1 - back).clamp(min=0)].long()
            digest = torch.where(new > back, _next_digest(digest, token), digest)
        stepped = self._form.step(decided, token, *drawn.of(token))
        return states._replace(rows=where(new > 0, stepped, states.rows), length=states.length + new, digest=digest)

    def _edited(
        self,
        logits: torch.Tensor,
        at: Ids,
        there: Mask,
        rows: Rows,
        states: SlotStates,
        ahead: int,
        writer: ScoreWriter,
    ) -> tuple[Rows, Drawn]:
        """Decide about the next tokens of some rows, and write the edits."""
        writer.clear(logits, at)
        position = states.length - states.prompt + ahead
        wants = self._form.wants(rows)
        statistics = {
            kind: (self._number(logits, at, kind, rows, states.seed, position), mask) for kind, mask in wants.items()
        }
        decided, forced, decisions = self._form.decide(rows, statistics)
        writes = [step.where(there) for step in decisions.writes]
        chances = [uniform(states.seed, position, _MOVE + i) for i in range(len(writes))]
        drawn = write(logits, at, writes, states.temperature, [*chances, uniform(states.seed, position, _REDRAW)])
        dead = torch.isneginf(logits[at].amax(1)) & (forced < 0) | decisions.conflict
        forced = torch.where(dead, self._eos, forced)
        cell, is_forced = forced.clamp(min=0), (forced >= 0) & there
        logits[at, cell] = torch.where(is_forced, certain(states.temperature, logits.dtype), logits[at, cell])
        return decided, drawn

    def _number(
        self, logits: torch.Tensor, at: Ids, kind: Statistic, rows: Rows, seed: Ids, position: Ids
    ) -> torch.Tensor:
        if kind == "uniform":
            return uniform(seed, position, _NUMBER)
        scores = logits[at, : self._size]
        return device_statistic(
            scores, kind, self._form.likeliest_close(scores, rows) if kind == "close_margin" else None
        )


def _row(states: SlotStates, row: int) -> SlotStates:
    """A copy of one row."""
    copy: SlotStates = map_columns(lambda column: column[row : row + 1].clone(), states)
    return copy


def certain(temperature: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A logit high enough to be drawn for certain at these temperatures."""
    return (100 * temperature).clamp(FORCED_LOGIT, torch.finfo(dtype).max / 4).to(dtype)


def last_id(model: ServedModel) -> int:
    """The id that ends a sequence that cannot continue: the smallest end-of-sequence id, or 0 if there is none."""
    eos = model.vocabulary.eos
    return min((token for token in eos if token < model.vocabulary.size), default=min(eos, default=0))


class Tokens(NamedTuple):
    """The runner's tokens of all slots, and the input tokens of this call.

    Args:
        all: [slots, longest], ids of prompt and output.
        total: [slots], number of valid ids of each slot.
        drafts: [rows], input token of each row; in rows after that of a slot's newest token it is a draft.
    """

    all: torch.Tensor
    total: torch.Tensor
    drafts: torch.Tensor


def digest(tokens: Sequence[int]) -> int:
    """Digest of tokens, as in `SlotStates.digest`: a signed 64-bit number."""
    *_, last = _digests(tokens)
    return last


def _digests(tokens: Sequence[int]) -> Iterator[int]:
    """Yields the digests of all prefixes, from the empty one to all tokens."""
    value = 0
    yield value
    for token in tokens:
        value = (value * _FACTOR + token + 1) % (1 << 64)
        yield value - (1 << 64) if value >> 63 else value


_FACTOR = 6364136223846793005  # Knuth's multiplier for arithmetic modulo 2^64


def _next_digest(digest: Ids, token: Ids) -> Ids:
    return digest * _FACTOR + token + 1
