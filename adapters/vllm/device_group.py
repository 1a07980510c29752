"""The slots of a runner whose requests have the same controls: their states in columns, brought to their tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from thinkpace.adapters.device.columns import Ids, Mask, mapped, where
from thinkpace.adapters.device.program import Rows, TensorProgram
from thinkpace.adapters.device.writer import Drawn, uniform, write
from thinkpace.adapters.logits.torch_statistics import quantity
from thinkpace.adapters.logits.torch_writer import CERTAIN, ScoreWriter
from thinkpace.adapters.vllm.served_model import ServedModel
from thinkpace.processors.core.decisions import FOREVER, Kind
from thinkpace.processors.core.program import Program
from thinkpace.processors.core.replay import replay

_NUMBER, _REDRAW, _MOVE = 0, 1, 2  # what a random number is for


@dataclass(frozen=True, slots=True)
class Coming:
    """A request whose tokens are not on the device yet.

    Args:
        group: that it belongs to.
        max_new, seed, heat: as in `Group.begin`.
        seed_is_own: whether the request named its seed.
    """

    group: int
    max_new: int | None
    seed: int
    heat: float
    seed_is_own: bool


class Held(NamedTuple):
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
    mark: Ids
    seed: Ids
    heat: torch.Tensor
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
        self._form = TensorProgram(program, model.vocabulary, device)
        self._size, self._eos = model.vocabulary.size, last_id(model)
        self._drafts = drafts
        self._device = device
        rows = self._form.columns([program.start(())], [None])
        nothing = torch.zeros(1, device=device)
        wants = {kind: (nothing.double(), mask) for kind, mask in self._form.wants(rows).items()}
        moves = sum(step.kind == "redirect" for step in self._form.decide(rows, wants)[2].writes)
        none = torch.full((1, moves), -1, device=device)
        one = Held(
            rows,
            *(nothing.long(),) * 4,
            nothing.double(),
            (rows,) * (drafts + 1),
            (Drawn(none.new_full((1,), -1), none, none),) * (drafts + 1),
            (none.new_zeros((1,)),) * (drafts + 1),
        )
        self._held: Held = mapped(lambda column: column.repeat(slots, *[1] * (column.dim() - 1)), one)

    def at(self, slot: int) -> Held:
        """What is kept of a slot, apart."""
        return _row(self._held, slot)

    def like(self, coming: Coming, tokens: Sequence[int], prompt: int, parked: Sequence[Held]) -> Held | None:
        """What is kept of a sequence with these tokens, or all but the last ones of them, under the same terms.

        Args:
            coming: the terms.
            tokens: of prompt and output.
            prompt: how many of them are prompt.
            parked: what was kept of other slots before they were given away; slots are looked through after these.

        Returns:
            None if there is nothing.
        """
        *_, before, whole = (0, *_marks(tokens))  # digests of all tokens but the last one, and of all
        places = [mapped(lambda *rows: torch.cat(rows), *parked)] if parked else []
        for missing in range(min(self._drafts + 2, len(tokens) - prompt + 1)):  # the newest first
            for held in (*places, self._held):
                digest = held.ahead[missing - 1] == before if missing else held.mark == whole
                found = digest & (held.length == len(tokens) - missing) & (held.prompt == prompt)
                found &= held.rows.track.max_new == (FOREVER if coming.max_new is None else coming.max_new)
                found &= held.heat == coming.heat
                if coming.seed_is_own:
                    found &= held.seed == coming.seed
                [rows] = torch.nonzero(found, as_tuple=True)
                if len(rows):
                    return _row(held, int(rows[0]))
        return None

    def put(self, slot: int, one: Held) -> None:
        """Keep this of a slot."""
        self._put(torch.tensor([slot], device=self._device), one)

    def _put(self, slots: Ids, some: Held) -> None:
        mapped(lambda column, values: column.index_copy_(0, slots, values), self._held, some)

    def begin(self, slot: int, tokens: Sequence[int], prompt: int, max_new: int | None, seed: int, heat: float) -> None:
        """A new sequence: its state is that after its tokens, of which nothing else is known.

        Args:
            slot: that it gets.
            tokens: of prompt and output.
            prompt: how many of them are prompt.
            max_new: output tokens at most.
            seed, heat: as in `Held`.
        """
        state = replay(self._program, tokens[:prompt], tokens[prompt:])
        rows = self._form.columns([state], [max_new])
        old = self.at(slot)

        def number(value: int) -> Ids:
            return torch.tensor([value], device=self._device)

        temperature = torch.tensor([heat], dtype=torch.float64, device=self._device)
        lengths = number(len(tokens)), number(prompt), number(mark(tokens)), number(seed)
        nobodys = tuple(torch.zeros_like(digest) for digest in old.ahead)
        self.put(slot, Held(rows, *lengths, temperature, old.decided, old.drawn, nobodys))

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
        held: Held = mapped(lambda column: column[slots], self._held)
        held = self._caught_up(held, slots, tokens)
        rows, decided, drawn, marks = held.rows, list(held.decided), list(held.drawn), list(held.ahead)
        digest = held.mark
        for ahead, (at, there) in enumerate(places):
            marks[ahead] = digest
            decided[ahead], drawn[ahead] = self._edited(logits, at, there, rows, held, ahead, writer)
            if ahead + 1 < len(places):
                draft = tokens.drafts[places[ahead + 1][0]].long()
                rows, digest = self._form.step(decided[ahead], draft, *drawn[ahead].of(draft)), _marked(digest, draft)
        self._put(slots, held._replace(decided=tuple(decided), drawn=tuple(drawn), ahead=tuple(marks)))

    def _caught_up(self, held: Held, slots: Ids, tokens: Tokens) -> Held:
        total = tokens.total[slots].long()
        new = (total - held.length).clamp(0, self._drafts + 1)
        decided, drawn = held.decided[0], held.drawn[0]
        for ahead in range(1, self._drafts + 1):  # all but the newest are the drafts that were decided about
            decided = where(new > ahead, held.decided[ahead], decided)
            drawn = where(new > ahead, held.drawn[ahead], drawn)
        digest = held.mark
        for back in range(self._drafts, -1, -1):
            token = tokens.all[slots, (total - 1 - back).clamp(min=0)].long()
            digest = torch.where(new > back, _marked(digest, token), digest)
        stepped = self._form.step(decided, token, *drawn.of(token))
        return held._replace(rows=where(new > 0, stepped, held.rows), length=held.length + new, mark=digest)

    def _edited(
        self, logits: torch.Tensor, at: Ids, there: Mask, rows: Rows, held: Held, ahead: int, writer: ScoreWriter
    ) -> tuple[Rows, Drawn]:
        """Decide about the next tokens of some rows, and write."""
        writer.clear(logits, at)
        position = held.length - held.prompt + ahead
        wants = self._form.wants(rows)
        known = {
            kind: (self._number(logits, at, kind, rows, held.seed, position), mask) for kind, mask in wants.items()
        }
        decided, forced, wish = self._form.decide(rows, known)
        writes = [step.where(there) for step in wish.writes]
        chances = [uniform(held.seed, position, _MOVE + i) for i in range(len(writes))]
        drawn = write(logits, at, writes, held.heat, [*chances, uniform(held.seed, position, _REDRAW)])
        dead = torch.isneginf(logits[at].amax(1)) & (forced < 0) | wish.torn
        forced = torch.where(dead, self._eos, forced)
        cell, comes = forced.clamp(min=0), (forced >= 0) & there
        logits[at, cell] = torch.where(comes, certain(held.heat, logits.dtype), logits[at, cell])
        return decided, drawn

    def _number(self, logits: torch.Tensor, at: Ids, kind: Kind, rows: Rows, seed: Ids, position: Ids) -> torch.Tensor:
        if kind == "uniform":
            return uniform(seed, position, _NUMBER)
        scores = logits[at, : self._size]
        return quantity(scores, kind, self._form.likeliest_close(scores, rows) if kind == "close_margin" else None)


def _row(held: Held, row: int) -> Held:
    """One row apart."""
    one: Held = mapped(lambda column: column[row : row + 1].clone(), held)
    return one


def certain(heat: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A logit that nothing else has, at these temperatures."""
    return (100 * heat).clamp(CERTAIN, torch.finfo(dtype).max / 4).to(dtype)


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


def mark(tokens: Sequence[int]) -> int:
    """The digest of tokens that `Held.mark` holds: a signed number of 64 bits."""
    *_, last = _marks(tokens)
    return last


def _marks(tokens: Sequence[int]) -> Iterator[int]:
    """The digests of no tokens, of the first one, of the first two, and so on."""
    found = 0
    yield found
    for token in tokens:
        found = (found * _FACTOR + token + 1) % (1 << 64)
        yield found - (1 << 64) if found >> 63 else found


_FACTOR = 6364136223846793005  # Knuth's multiplier for numbers modulo 2^64


def _marked(digest: Ids, token: Ids) -> Ids:
    return digest * _FACTOR + token + 1
