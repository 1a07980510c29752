"""The slots of a runner whose requests have the same controls: their states in columns, brought to their tokens."""

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

_NUMBER, _REDRAW, _MOVE = 0, 1, 2  # what a random number is for


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A request whose tokens are not on the device yet.

    Args:
        group: that it belongs to.
        max_new, seed, temperature: as in `Group.start`.
        seed_is_own: whether the request named its seed.
    """

    group: int
    max_new: int | None
    seed: int
    temperature: float
    seed_is_own: bool


class SlotStates(NamedTuple):
    """What is kept of every slot of a group, in columns.

    Args:
        rows: the states after `length` tokens, before the next one is decided about.
        length: tokens of prompt and output.
        prompt: tokens of the prompt.
        mark: tells sequences apart: a digest of the tokens.
        seed: of the random numbers.
        heat: temperatures; 0 for greedy.
        decided: what was decided at the newest token, and behind each draft after it.
        drawn: what the model drew there.
        ahead: digests of the tokens, and with the drafts, behind which that was decided.
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
        model: that is served.
        slots: how many there are.
        drafts: at most, per step of a request.
        device: where the tokens are.

    Raises:
        UnsupportedControl: if a control has no form for devices.
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
        none = torch.full((1, moves), -1, device=device)
        one = SlotStates(
            rows,
            *(nothing.long(),) * 4,
            nothing.double(),
            (rows,) * (drafts + 1),
            (Drawn(none.new_full((1,), -1), none, none),) * (drafts + 1),
            (none.new_zeros((1,)),) * (drafts + 1),
        )
        self._states: SlotStates = map_columns(lambda column: column.repeat(slots, *[1] * (column.dim() - 1)), one)

    def snapshot(self, slot: int) -> SlotStates:
        """What is kept of a slot, apart."""
        return _row(self._states, slot)

    def find_match(
        self, coming: PendingRequest, tokens: Sequence[int], prompt: int, parked: Sequence[SlotStates]
    ) -> SlotStates | None:
        """What is kept of a sequence with these tokens, or all but the last ones of them, under the same terms.

        Args:
            coming: the terms.
            tokens: of prompt and output.
            prompt: how many of them are prompt.
            parked: what was kept of other slots before they were given away; slots are looked through after these.

        Returns:
            None if there is nothing.
        """
        *_, before, whole = (0, *_digests(tokens))  # digests of all tokens but the last one, and of all
        places = [map_columns(lambda *rows: torch.cat(rows), *parked)] if parked else []
        for missing in range(min(self._drafts + 2, len(tokens) - prompt + 1)):  # the newest first
            for states in (*places, self._states):
                digest = states.ahead[missing - 1] == before if missing else states.digest == whole
                found = digest & (states.length == len(tokens) - missing) & (states.prompt == prompt)
                found &= states.rows.track.max_new == (FOREVER if coming.max_new is None else coming.max_new)
                found &= states.temperature == coming.temperature
                if coming.seed_is_own:
                    found &= states.seed == coming.seed
                [rows] = torch.nonzero(found, as_tuple=True)
                if len(rows):
                    return _row(states, int(rows[0]))
        return None

    def restore(self, slot: int, one: SlotStates) -> None:
        """Keep this of a slot."""
        self._restore(torch.tensor([slot], device=self._device), one)

    def _restore(self, slots: Ids, some: SlotStates) -> None:
        map_columns(lambda column, values: column.index_copy_(0, slots, values), self._states, some)

    def start(
        self, slot: int, tokens: Sequence[int], prompt: int, max_new: int | None, seed: int, temperature: float
    ) -> None:
        """A new sequence: its state is that after its tokens, of which nothing else is known.

        Args:
            slot: that it gets.
            tokens: of prompt and output.
            prompt: how many of them are prompt.
            max_new: output tokens at most.
            seed, temperature: as in `SlotStates`.
        """
        state = replay(self._program, tokens[:prompt], tokens[prompt:])
        rows = self._form.columns([state], [max_new])
        old = self.snapshot(slot)

        def number(value: int) -> Ids:
            return torch.tensor([value], device=self._device)

        heated = torch.tensor([temperature], dtype=torch.float64, device=self._device)
        lengths = number(len(tokens)), number(prompt), number(digest(tokens)), number(seed)
        nobodys = tuple(torch.zeros_like(digest) for digest in old.ahead)
        self.restore(slot, SlotStates(rows, *lengths, heated, old.decided, old.drawn, nobodys))

    def apply(
        self, logits: torch.Tensor, slots: Ids, places: Sequence[tuple[Ids, Mask]], tokens: Tokens, writer: ScoreWriter
    ) -> None:
        """Bring slots to their tokens, and edit their rows.

        Args:
            logits: Float[rows, vocabulary], changed in place.
            slots: of this group, that have rows here.
            places: for the newest token, then for each draft: the row of every slot, and whether it has one.
            tokens: of all slots, and the drafts.
            writer: for ids that stand for nothing.
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
        for ahead in range(1, self._drafts + 1):  # all but the newest are the drafts that were decided about
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
        """Decide about the next tokens of some rows, and write."""
        writer.clear(logits, at)
        position = states.length - states.prompt + ahead
        wants = self._form.wants(rows)
        known = {
            kind: (self._number(logits, at, kind, rows, states.seed, position), mask) for kind, mask in wants.items()
        }
        decided, forced, decisions = self._form.decide(rows, known)
        writes = [step.where(there) for step in decisions.writes]
        chances = [uniform(states.seed, position, _MOVE + i) for i in range(len(writes))]
        drawn = write(logits, at, writes, states.temperature, [*chances, uniform(states.seed, position, _REDRAW)])
        dead = torch.isneginf(logits[at].amax(1)) & (forced < 0) | decisions.conflict
        forced = torch.where(dead, self._eos, forced)
        cell, comes = forced.clamp(min=0), (forced >= 0) & there
        logits[at, cell] = torch.where(comes, certain(states.temperature, logits.dtype), logits[at, cell])
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
    """One row apart."""
    one: SlotStates = map_columns(lambda column: column[row : row + 1].clone(), states)
    return one


def certain(temperature: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A logit that nothing else has, at these temperatures."""
    return (100 * temperature).clamp(FORCED_LOGIT, torch.finfo(dtype).max / 4).to(dtype)


def last_id(model: ServedModel) -> int:
    """The id that ends a sequence which cannot go on."""
    eos = model.vocabulary.eos
    return min((token for token in eos if token < model.vocabulary.size), default=min(eos, default=0))


class Tokens(NamedTuple):
    """What the runner has of all slots, and of the rows of this call.

    Args:
        all: [slots, longest], prompt and output.
        total: [slots], how many of them hold.
        drafts: [rows], the token at the input of each row; behind the newest token these are drafts.
    """

    all: torch.Tensor
    total: torch.Tensor
    drafts: torch.Tensor


def digest(tokens: Sequence[int]) -> int:
    """The digest of tokens that `SlotStates.digest` holds: a signed number of 64 bits."""
    *_, last = _digests(tokens)
    return last


def _digests(tokens: Sequence[int]) -> Iterator[int]:
    """The digests of no tokens, of the first one, of the first two, and so on."""
    found = 0
    yield found
    for token in tokens:
        found = (found * _FACTOR + token + 1) % (1 << 64)
        yield found - (1 << 64) if found >> 63 else found


_FACTOR = 6364136223846793005  # Knuth's multiplier for numbers modulo 2^64


def _next_digest(digest: Ids, token: Ids) -> Ids:
    return digest * _FACTOR + token + 1
