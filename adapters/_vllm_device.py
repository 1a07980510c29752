"""vLLM's Model Runner V2: tokens live on the device, and the states of the sequences with them.

A slot belongs to one request until it is given to another. The state of a slot is brought to its tokens when its rows
are about to be sampled, however often that happens: from what was decided of the row that its newest token came from.
A request with drafts has a row for each of them, decided about as if the drafts before it had come.

Between the steps of a sequence nothing is copied to the host. Its prompt is, when it comes: that waits for the device.
"""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from thinkpace.adapters._hf_numbers import quantity
from thinkpace.adapters._hf_scores import CERTAIN, ScoreWriter
from thinkpace.adapters._served_model import ServedModel
from thinkpace.adapters.tensor.columns import Ids, Mask, mapped, where
from thinkpace.adapters.tensor.program import Rows, TensorProgram
from thinkpace.adapters.tensor.writing import Drawn, uniform, write
from thinkpace.adapters.vllm_terms import Terms
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.base import FOREVER, Kind
from thinkpace.processors.program import Program, replay

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState

_PARKED = 256  # sequences that left their slot and may come back
_GROUPS = 64  # of requests with the same controls, whose tables are kept
_NOBODY, _REFUSED = -1, -2
_NUMBER, _REDRAW, _MOVE = 0, 1, 2  # what a random number is for
ENDED = "a request was ended, since its controls cannot work: %s"
_log = logging.getLogger("thinkpace")


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

    def like(self, coming: _Coming, tokens: Sequence[int], prompt: int, parked: Sequence[Held]) -> Held | None:
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


@dataclass(frozen=True, slots=True)
class _Coming:
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


@dataclass(frozen=True, slots=True, eq=False)
class _Parked:
    """What was kept of a slot that another request was given. Args: group: that it belonged to. held: all of it."""

    group: int
    held: Held


class DeviceBatch:
    """The slots of a runner.

    Args:
        model: that is served.
        states: what the runner shares of its slots.
        drafts: at most, per step of a request.
    """

    def __init__(self, model: ServedModel, states: LogitsProcRequestState, drafts: int) -> None:
        self._model, self._states, self._drafts = model, states, drafts
        self._writer = ScoreWriter(model.vocabulary.size, 1.0, model.vocabulary.unused, beams=False)
        self._groups: dict[int, tuple[Terms, Group]] = {}
        self._made = 0  # groups so far: their numbers are never used again
        self._group_of = np.full(states.max_num_reqs, _NOBODY)
        self._coming: dict[int, _Coming] = {}
        self._parked: deque[_Parked] = deque(maxlen=_PARKED)
        self._unsupported: dict[Terms, UnsupportedControl] = {}  # found out once: it may take seconds

    def add(self, slot: int, terms: Terms | None, params: SamplingParams, heat: float) -> bool:
        """A request gets a slot, whoever had it before.

        Returns:
            Whether it has controls.

        Raises:
            Exception: if these cannot work; then `refuse` it.
        """
        before = int(self._group_of[slot])
        if before >= 0 and self._coming.pop(slot, None) is None:
            self._parked.append(_Parked(before, self._groups[before][1].at(slot)))  # it may have been preempted
        self._group_of[slot] = _NOBODY
        if terms is None:
            return False
        what = Terms(terms.controls, terms.markers)
        self._model.program(what, params.max_tokens)  # whether its own limit leaves room
        group = self._group(what)
        given = terms.seed if terms.seed is not None else params.seed
        seed = secrets.randbits(63) if given is None else given % (1 << 63)
        self._coming[slot] = _Coming(group, params.max_tokens, seed, heat, given is not None)
        self._group_of[slot] = group
        return True

    def refuse(self, slot: int, error: Exception) -> None:
        """End the request of a slot, whose controls cannot work."""
        _log.error(ENDED, error)
        self._coming.pop(slot, None)
        self._group_of[slot] = _REFUSED

    def _group(self, terms: Terms) -> int:
        for number, (known, _) in self._groups.items():
            if known == terms:
                return number
        if len(self._groups) >= _GROUPS:
            used = {*self._group_of.tolist(), *(parked.group for parked in self._parked)}
            self._groups = {number: group for number, group in self._groups.items() if number in used}
        if terms in self._unsupported:
            raise self._unsupported[terms]
        program = self._model.program(terms, None)
        try:
            group = Group(program, self._model, self._states.max_num_reqs, self._drafts, self._states.device)
        except UnsupportedControl as error:
            if len(self._unsupported) < _GROUPS:
                self._unsupported[terms] = error
            raise
        self._made += 1
        self._groups[self._made] = terms, group
        return self._made

    def flush(self) -> None:
        """The tokens of new requests are on the device now: read them."""
        coming_in, self._coming = self._coming, {}
        for slot, coming in coming_in.items():
            try:
                self._begin(slot, coming)
            except Exception as error:  # noqa: BLE001  # one request must not end the engine, and so all others
                self.refuse(slot, error)

    def _begin(self, slot: int, coming: _Coming) -> None:
        length, prompt = int(self._states.prefill_len.np[slot]), int(self._states.prompt_len.np[slot])
        tokens = self._states.all_token_ids.gpu[slot, :length].tolist()
        group = self._groups[coming.group][1]
        if length > prompt:  # preempted, and back, perhaps in another slot: told by its tokens
            parked = [one for one in self._parked if one.group == coming.group]
            back = group.like(coming, tokens, prompt, [one.held for one in parked])
            if back is not None:
                group.put(slot, back)
                return
        group.begin(slot, tokens, prompt, coming.max_new, coming.seed, coming.heat)

    def apply(self, logits: torch.Tensor, context: LogitsContext) -> None:
        """Edit the rows of all slots that have controls.

        Args:
            logits: Float[rows, vocabulary], changed in place.
            context: which rows these are.
        """
        slots: NDArray[np.integer] = context.idx_mapping_np
        groups = self._group_of[slots]
        if (groups == _NOBODY).all():
            return
        device = logits.device
        several = len(logits) != len(slots)
        table = self._rows_of(context, len(logits)) if several else None
        states = self._states
        tokens = Tokens(states.all_token_ids.gpu, states.total_len.gpu, context.input_ids)
        for number in np.unique(groups):
            if number == _NOBODY:
                continue
            [own] = np.nonzero(groups == number)
            these = torch.as_tensor(slots[own].astype(np.int64)).to(device, non_blocking=True)
            if table is None:
                here = torch.as_tensor(own).to(device, non_blocking=True)
                places = [(here, torch.ones_like(here, dtype=torch.bool))]
            else:
                found = table[these]
                # where there is no row, that of the newest token stands in, and is left alone
                places = [(torch.where(column >= 0, column, found[:, 0]), column >= 0) for column in found.unbind(1)]
            if number != _REFUSED:
                try:
                    self._groups[int(number)][1].apply(logits, these, places, tokens, self._writer)
                    continue
                except Exception as error:  # noqa: BLE001  # some requests must not end the engine, and so all others
                    for slot in slots[own].tolist():
                        self.refuse(slot, error)
            self._end(logits, places)

    def _rows_of(self, context: LogitsContext, count: int) -> torch.Tensor:
        """[slots, drafts + 1]: the row of every slot's newest token and of each draft; -1 for none."""
        device = context.expanded_idx_mapping.device
        table = torch.full((self._states.max_num_reqs, self._drafts + 1), -1, device=device)
        table[context.expanded_idx_mapping.long(), context.expanded_local_pos.long()] = torch.arange(
            count, device=device
        )
        return table

    def _end(self, logits: torch.Tensor, places: Sequence[tuple[Ids, Mask]]) -> None:
        hottest = torch.full((1,), 1e6, device=logits.device)  # whatever the temperature is
        for at, _ in places:
            logits[at, last_id(self._model)] = certain(hottest, logits.dtype)
