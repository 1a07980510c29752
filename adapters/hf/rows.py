"""Which sequence each row of `generate` is, told from nothing but padded ids.

Rows may be finished, reordered (beams), rolled back (assisted generation, prompt lookup) or started anew (a second
call): the state of every row is kept by its tokens. Most tokens change nothing: they are written down a column per
step, and a row is told of them when it heeds one, or when somebody asks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from thinkpace.adapters.sequences.sequence_log import KEPT, Attribution, SequenceLog, common
from thinkpace.adapters.sequences.slots import Slots
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.core.decisions import FOREVER, NO_TOKENS, Statistics
from thinkpace.processors.core.edit import KEEP
from thinkpace.processors.core.program import Program
from thinkpace.processors.core.replay import DrawHistory


class Rows:
    """The rows of one call of `generate` after another.

    Args:
        programs: for row i of B rows, program i * len(programs) // B.
        pad_token_id: stripped from the left of prompts; None if there is none.
        seeds: one per row; or one number, from which each row of each call gets its own; or None to take it from the
            state of torch's generator at the start of a call.
        continued: instead of seeds, sequences that are under way, one per row: a row is its prompt and its tokens.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        pad_token_id: int | None,
        seeds: Sequence[int] | int | None,
        continued: Sequence[SequenceLog] = (),
    ) -> None:
        self._programs = tuple(programs)
        self._pad = pad_token_id
        self._seeds = seeds
        self._given = tuple(continued)
        self._started = 0  # calls of `generate` so far
        self.reset()

    def reset(self) -> None:
        """Forget the last call."""
        self._width = 0  # of the padded prompt
        self._prompts: list[list[int]] = []  # padded, per row
        self._logs: list[SequenceLog] = []  # per row
        self._continued: list[list[int]] = []  # the output of a row that stood in its ids from the beginning
        self._last: torch.Tensor | None = None
        self._longest = 0  # ids of a row that have been seen in this call
        # beams that were dropped: (prompt, tokens) -> what was told along them
        self._past: dict[tuple[tuple[int, ...], tuple[int, ...]], DrawHistory] = {}
        self._told_all(0)

    def follow(self, input_ids: torch.Tensor) -> None:
        """Bring every row to its ids.

        Args:
            input_ids: Long[rows, length], prompts padded on the left.
        """
        newest = None if self._over else _newest(input_ids, self._last)
        if newest is None:
            self._catch_up(input_ids)
        else:
            self._advance(newest)
        self._last = input_ids
        self._longest = max(self._longest, input_ids.shape[1])

    def _advance(self, newest: list[int]) -> None:
        self._columns.append(newest)
        length = self._since + len(self._columns)  # of the output
        due = self._soonest < length
        woken = [
            row
            for row, (token, wake_tokens, marks) in enumerate(
                zip(newest, self._wake_tokens, self._marker_wake_tokens, strict=True)
            )
            if token in wake_tokens or token in marks or (due and self._until[row] < length)
        ]
        for row in woken:
            log = self._logs[row]
            log.append_idle([column[row] for column in self._columns[self._seen(row) - self._since : -1]])
            log.advance(newest[row])
            self._note(row)
        if woken:
            self._list()

    def _seen(self, row: int) -> int:
        """How many tokens that `generate` added to a row its log has been told of."""
        return len(self._logs[row].tokens) - len(self._continued[row])

    def _output(self, row: int, ids: list[int]) -> list[int]:
        """The output of a row, from its ids."""
        return self._continued[row] + _until_end(ids[self._width :], self._programs[0])

    def _told_all(self, length: int) -> None:
        """Every row has been brought to its tokens, of which there are `length`."""
        count = len(self._logs)
        self._columns: list[list[int]] = []  # the tokens of all rows, a list per step since then
        self._since = length
        # of every row: output tokens up to which it sleeps, unless one comes that it heeds
        self._until = [0] * count
        self._wake_tokens, self._marker_wake_tokens = [NO_TOKENS] * count, [NO_TOKENS] * count
        self._ended, self._wants, self._edits = [False] * count, [False] * count, [KEEP] * count
        for row in range(count):
            self._note(row)
        self._list()

    def _note(self, row: int) -> None:
        """Write down what has to be known of a row while it sleeps."""
        log = self._logs[row]
        self._until[row] = FOREVER if log.ended else self._seen(row) + log.idle_left
        self._wake_tokens[row], self._marker_wake_tokens[row] = (
            (NO_TOKENS, NO_TOKENS) if log.ended else (log.wake_tokens, log.marker_wake_tokens)
        )
        self._ended[row], self._wants[row], self._edits[row] = log.ended, bool(log.wants), log.edit

    def _list(self) -> None:
        self._soonest = min(self._until, default=0)
        self._over = all(self._ended)  # then `generate` must have stopped: the next call is a new one
        #: the rows that want numbers about the next token
        self.wanting = [row for row, wants in enumerate(self._wants) if wants]
        #: what the next tokens are subject to, as (row, edit); rows that are left alone are left out
        self.edits = tuple([(row, edit) for row, edit in enumerate(self._edits) if edit is not KEEP])

    @property
    def logs(self) -> list[SequenceLog]:
        """The rows, each at its tokens."""
        for row, log in enumerate(self._logs):
            if not log.ended:
                log.append_idle([column[row] for column in self._columns[self._seen(row) - self._since :]])
        return self._logs

    def __getitem__(self, row: int) -> SequenceLog:
        """The log of a row, which may not have been told its last tokens yet, unless it wants numbers."""
        return self._logs[row]

    def receive(self, statistics: Mapping[int, Statistics]) -> None:
        """Give rows the numbers that they want."""
        for row, found in statistics.items():
            self._logs[row].receive(found)
            self._note(row)
        self._list()

    def record_row(self, row: int, attribution: Attribution) -> None:
        """Keep what tells where the next token of a row came from."""
        kept = KEPT if len(self._logs) == 1 else 1  # drafts are of one row; others never go back
        at = len(self._continued[row]) + self._since + len(self._columns)
        self._logs[row].record_row(attribution, at=at, kept=kept)

    def of(self, sequences: torch.Tensor) -> list[SequenceLog]:
        """The logs of what `generate` returned: Long[sequences, length].

        Raises:
            ValueError: if a sequence does not begin with a prompt of the last call.
        """
        logs, out = self.logs, []
        for row, ids in enumerate(sequences.tolist()):
            log = self._nearest(logs, ids, row)
            log.sync(self._output(min(row, len(self._continued) - 1), ids))
            out.append(log)
        return out

    def _nearest(self, logs: list[SequenceLog], ids: list[int], row: int) -> SequenceLog:
        """A log of the sequence's own, with all that is known of what was drawn along it."""
        prompt, tokens = ids[: self._width], self._output(min(row, len(self._continued) - 1), ids)
        candidates = [log for log, own in zip(logs, self._prompts, strict=True) if own == prompt]
        if not candidates:
            raise ValueError(f"row {row} does not begin with a prompt of the last call: pass what that call returned")
        if row < len(self._prompts) and self._prompts[row] == prompt:
            candidates.insert(0, logs[row])
        log = max(candidates, key=lambda log: common(log.tokens, tokens)).fork()
        own = [(past, history) for (of, past), history in self._past.items() if of == log.prompt]
        known, history = max(own, key=lambda one: common(one[0], tokens), default=((), DrawHistory()))
        shared = common(known, tokens)
        if shared > common(log.tokens, tokens):
            log.rewind(0)
            log.drawn.update({at: origin for at, origin in history.drawn.items() if at < shared})
            log.statistics.update({at: statistics for at, statistics in history.statistics.items() if at <= shared})
        return log

    def _catch_up(self, input_ids: torch.Tensor) -> None:
        """Rows are not last time's with one more token: they were reordered, rolled back, or are new.

        Rows go back in drafts only, which are of one row, and never go on by more than one id that was not seen.
        """
        rows: list[list[int]] = input_ids.tolist()
        logs, length, seen = self.logs, len(rows[0]), self._longest
        may_go_on = self._width < length <= seen + 1 and (len(rows) == 1 or length == seen + 1)
        sources = self._sources(rows) if may_go_on and len(rows) == len(logs) else None
        if sources is None:
            self._start(rows, input_ids.device)
            return
        for row in set(range(len(rows))) - set(sources):
            log = logs[row]
            if log.drawn or log.statistics:
                self._past[log.prompt, tuple(log.tokens)] = DrawHistory(dict(log.drawn), dict(log.statistics))
        slots = Slots(logs)
        slots.reorder(sources)  # forks are made before any log moves on
        self._logs = [log for _, log in slots.items()]
        for row, ids in enumerate(rows):
            self._logs[row].sync(self._output(row, ids))
        self._told_all(length - self._width)

    def _sources(self, rows: list[list[int]]) -> list[int] | None:
        """The row that each row continues; None if one continues none of them."""
        width, out = self._width, list[int]()
        for row, ids in enumerate(rows):
            prompt, tokens = ids[:width], ids[width:]
            body = _until_end(tokens, self._programs[0])
            if len(set(tokens[len(body) :])) > 1:  # after the end there is nothing but padding
                return None
            same_row_first = [row, *range(row), *range(row + 1, len(rows))]
            # all but the newest token must have been seen: no call was missed
            found = (
                other
                for other in same_row_first
                if self._prompts[other] == prompt
                and common(self._logs[other].tokens, self._continued[other] + body)
                >= len(self._continued[other] + body) - 1
            )
            source = next(found, None)
            if source is None:
                return None
            out.append(source)
        return out

    def _start(self, rows: list[list[int]], device: torch.device) -> None:
        count = len(rows)
        if len(self._programs) > count or count % len(self._programs):
            raise UnsupportedControl(
                f"{len(self._programs)} lists of controls do not fit {count} rows: give one per prompt or row"
            )
        self.reset()
        self._width = len(rows[0])
        self._prompts = rows
        if self._given:
            self._logs, self._continued = [*self._given], [[*log.tokens] for log in self._given]
            self._told_all(0)
            return
        self._continued = [[] for _ in rows]
        seeds = self._row_seeds(count, device)
        self._started += 1
        for row, ids in enumerate(rows):
            pads = 0
            while pads < len(ids) - 1 and ids[pads] == self._pad:
                pads += 1
            program = self._programs[row * len(self._programs) // count]
            self._logs.append(SequenceLog(program, tuple(ids[pads:]), seeds[row]))
        self._told_all(0)

    def _row_seeds(self, count: int, device: torch.device) -> Sequence[int]:
        if self._seeds is None:
            kind: Any = torch if device.type == "cpu" else getattr(torch, device.type)
            # each kind of device draws from a generator of its own
            state = kind.get_rng_state(*([device] if device.type in ("cuda", "xpu") else []))
            base = state.numpy().tobytes()
        elif isinstance(self._seeds, int):
            base = f"{self._seeds}/{self._started}".encode()
        elif len(self._seeds) == count:
            return self._seeds
        else:
            raise UnsupportedControl(f"{len(self._seeds)} seeds do not fit {count} rows: give one per row")
        digest = hashlib.blake2b(base, digest_size=8).digest()
        return [int.from_bytes(digest, "little") + row for row in range(count)]


def _newest(input_ids: torch.Tensor, last: torch.Tensor | None) -> list[int] | None:
    """The last id of every row if the rest is what it was, else None; copies one thing from the device."""
    if last is None or input_ids.shape != (last.shape[0], last.shape[1] + 1):
        return None
    if input_ids.device.type == "cpu":  # bytes are quicker than arrays, which are than tensors
        ids = input_ids.numpy()
        return ids[:, -1].tolist() if ids[:, :-1].tobytes() == last.numpy().tobytes() else None
    same = (input_ids[:, :-1] == last).all()
    newest: list[int] = torch.cat((input_ids[:, -1], same.long().unsqueeze(0))).tolist()
    return newest[:-1] if newest[-1] else None


def _until_end(tokens: list[int], program: Program) -> list[int]:
    """The tokens up to and with the end of the sequence; what follows is padding."""
    for i, token in enumerate(tokens):
        if token in program.tracker.eos:
            return tokens[: i + 1]
    return tokens
