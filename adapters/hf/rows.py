"""Derives from padded ids alone which sequence each row of `generate` holds.

Rows may be finished, reordered (beams), rolled back (assisted generation, prompt lookup) or restarted (a second call):
the state of every row is found by its tokens. Most tokens leave the state unchanged: they are stored in one column per
step, and a row is stepped only when it must be, or when its log is read.
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
    """The rows of successive calls of `generate`.

    Args:
        programs: row i of B rows uses program i * len(programs) // B.
        pad_token_id: stripped from the left of prompts; None if there is none.
        seeds: one per row; or one number, from which each row of each call derives its own; or None to derive them from
            the state of torch's generator at the start of a call.
        continued: instead of seeds, sequences to continue, one per row: a row is its prompt and its tokens.
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
        self._mask: torch.Tensor | None = None
        self.reset()

    def begin(self, mask: torch.Tensor | None) -> None:
        """A call begins.

        Args:
            mask: its attention mask, Long[prompts, width]; None if it is not known.
        """
        self.reset()
        self._mask = mask

    def stop(self, stopped: torch.Tensor, length: int) -> None:
        """Rows were stopped by something other than their end of sequence: what follows is padding.

        Args:
            stopped: Bool[rows].
            length: number of ids of each row, prompts included.
        """
        if len(self._logs) == 1 or len(self._logs) != stopped.shape[0]:  # a single row gets no padding
            return
        for row in torch.nonzero(stopped).flatten().tolist():
            self._stops.setdefault(row, length - self._width)

    def reset(self) -> None:
        """Forget the last call."""
        self._stops: dict[int, int] = {}  # rows that were stopped -> number of tokens that `generate` added to them
        self._width = 0  # of the padded prompt
        self._prompts: list[list[int]] = []  # padded, one per row
        self._logs: list[SequenceLog] = []  # one per row
        self._continued: list[list[int]] = []  # the part of a row's output that its first ids held
        self._last: torch.Tensor | None = None
        self._longest = 0  # largest number of ids per row seen in this call
        # dropped beams: (prompt, tokens) -> draw history
        self._past: dict[tuple[tuple[int, ...], tuple[int, ...]], DrawHistory] = {}
        self._told_all(0)

    def follow(self, input_ids: torch.Tensor) -> None:
        """Update every row from its ids.

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
            if (token in wake_tokens or token in marks or (due and self._until[row] < length))
            and not self._stops.get(row, length) < length
        ]
        for row in woken:
            log = self._logs[row]
            log.append_idle([column[row] for column in self._columns[self._seen(row) - self._since : -1]])
            log.advance(newest[row])
            self._note(row)
        if woken:
            self._list()

    def _seen(self, row: int) -> int:
        """Number of tokens added by `generate` that are in the row's log."""
        return len(self._logs[row].tokens) - len(self._continued[row])

    def _output(self, row: int, ids: list[int]) -> list[int]:
        """The output of a row, extracted from its ids."""
        stop = self._stops.get(row)
        end = None if stop is None else self._width + stop
        return self._continued[row] + _until_end(ids[self._width : end], self._programs[0])

    def _told_all(self, length: int) -> None:
        """Restart the columns: every log now holds all `length` output tokens."""
        count = len(self._logs)
        self._columns: list[list[int]] = []  # newer tokens, one list per step with one id per row
        self._since = length
        # per row: output length up to which it is idle; wake tokens end that earlier
        self._until = [0] * count
        self._wake_tokens, self._marker_wake_tokens = [NO_TOKENS] * count, [NO_TOKENS] * count
        self._ended, self._wants, self._edits = [False] * count, [False] * count, [KEEP] * count
        for row in range(count):
            self._note(row)
        self._list()

    def _note(self, row: int) -> None:
        """Cache what is needed of a row while it is idle."""
        log = self._logs[row]
        self._until[row] = FOREVER if log.ended else self._seen(row) + log.idle_left
        self._wake_tokens[row], self._marker_wake_tokens[row] = (
            (NO_TOKENS, NO_TOKENS) if log.ended else (log.wake_tokens, log.marker_wake_tokens)
        )
        self._ended[row], self._wants[row], self._edits[row] = log.ended, bool(log.wants), log.edit

    def _list(self) -> None:
        self._soonest = min(self._until, default=0)
        self._over = all(self._ended)  # `generate` must have stopped: the next ids belong to a new call
        #: the rows that request row statistics of the next token
        self.wanting = [row for row, wants in enumerate(self._wants) if wants]
        #: the edits of the next tokens, as (row, edit); rows whose edit is KEEP are omitted
        self.edits = tuple([(row, edit) for row, edit in enumerate(self._edits) if edit is not KEEP])

    @property
    def logs(self) -> list[SequenceLog]:
        """The logs of all rows, brought up to date."""
        for row, log in enumerate(self._logs):
            if not log.ended:
                end = self._stops[row] - self._since if row in self._stops else None
                log.append_idle([column[row] for column in self._columns[self._seen(row) - self._since : end]])
        return self._logs

    def __getitem__(self, row: int) -> SequenceLog:
        """The log of a row; its latest idle tokens may be missing unless it requests row statistics."""
        return self._logs[row]

    def receive(self, statistics: Mapping[int, Statistics]) -> None:
        """Pass the requested row statistics to the rows."""
        for row, numbers in statistics.items():
            self._logs[row].receive(numbers)
            self._note(row)
        self._list()

    def record_row(self, row: int, attribution: Attribution) -> None:
        """Store the attribution of a row's next token."""
        depth = KEPT if len(self._logs) == 1 else 1  # only single rows have drafts; other rows never roll back
        at = len(self._continued[row]) + self._since + len(self._columns)
        self._logs[row].record_row(attribution, at=at, kept=depth)

    def of(self, sequences: torch.Tensor) -> list[SequenceLog]:
        """The logs of what `generate` returned.

        Args:
            sequences: Long[sequences, length].

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
        """A copy of the closest log, with the longest draw history known for the sequence's tokens."""
        prompt, tokens = ids[: self._width], self._output(min(row, len(self._continued) - 1), ids)
        candidates = [log for log, other in zip(logs, self._prompts, strict=True) if other == prompt]
        if not candidates:
            raise ValueError(f"row {row} does not begin with a prompt of the last call: pass what that call returned")
        if row < len(self._prompts) and self._prompts[row] == prompt:
            candidates.insert(0, logs[row])
        log = max(candidates, key=lambda log: common(log.tokens, tokens)).fork()
        histories = [(past, history) for (of, past), history in self._past.items() if of == log.prompt]
        dropped, history = max(histories, key=lambda pair: common(pair[0], tokens), default=((), DrawHistory()))
        shared = common(dropped, tokens)
        if shared > common(log.tokens, tokens):
            log.rewind(0)
            log.drawn.update({at: origin for at, origin in history.drawn.items() if at < shared})
            log.statistics.update({at: statistics for at, statistics in history.statistics.items() if at <= shared})
        return log

    def _catch_up(self, input_ids: torch.Tensor) -> None:
        """Handle rows that are not the last ids plus one token: they were reordered, rolled back, or are new.

        Rows are rolled back only with drafts, which exist only for single rows, and never grow by more than one unseen
        id.
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
        slots.reorder(sources)  # fork before any log advances
        self._logs = [log for _, log in slots.items()]
        for row, ids in enumerate(rows):
            self._logs[row].sync(self._output(row, ids))
        self._told_all(length - self._width)

    def _sources(self, rows: list[list[int]]) -> list[int] | None:
        """The row that each row continues; None if some row continues none."""
        width, out = self._width, list[int]()
        for row, ids in enumerate(rows):
            prompt, tokens = ids[:width], ids[width:]
            body = _until_end(tokens, self._programs[0])
            if len(set(tokens[len(body) :])) > 1:  # only padding may follow the end
                return None
            same_row_first = [row, *range(row), *range(row + 1, len(rows))]
            # all but the newest token must have been seen, since no call is skipped
            candidates = (
                other
                for other in same_row_first
                if self._prompts[other] == prompt
                and common(self._logs[other].tokens, self._continued[other] + body)
                >= len(self._continued[other] + body) - 1
            )
            source = next(candidates, None)
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
        for row, (ids, pads) in enumerate(zip(rows, self._pads(rows), strict=True)):
            program = self._programs[row * len(self._programs) // count]
            self._logs.append(SequenceLog(program, tuple(ids[pads:]), seeds[row]))
        self._told_all(0)

    def _pads(self, rows: list[list[int]]) -> list[int]:
        """Number of ids of each row that pad it on the left: by the attention mask, else by the pad id."""
        mask, count = self._mask, len(rows)
        if mask is not None and mask.dim() == 2 and mask.shape[1] == self._width and count % len(mask) == 0:
            first: list[int] = mask.long().argmax(1).tolist()  # of the ones
            return [first[row * len(mask) // count] for row in range(count)]
        pads = []
        for ids in rows:
            padded = next((at for at, token in enumerate(ids) if token != self._pad), len(ids))
            pads.append(min(padded, max(0, len(ids) - 1)))
        return pads

    def _row_seeds(self, count: int, device: torch.device) -> Sequence[int]:
        if self._seeds is None:
            kind: Any = torch if device.type == "cpu" else getattr(torch, device.type)
            # each device type has its own generator
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
    """The last id of every row if all other ids are unchanged, else None; one copy from the device."""
    if last is None or input_ids.shape != (last.shape[0], last.shape[1] + 1):
        return None
    if input_ids.device.type == "cpu":  # comparing bytes is faster than arrays, and arrays than tensors
        ids = input_ids.numpy()
        return ids[:, -1].tolist() if ids[:, :-1].tobytes() == last.numpy().tobytes() else None
    same = (input_ids[:, :-1] == last).all()
    newest: list[int] = torch.cat((input_ids[:, -1], same.long().unsqueeze(0))).tolist()
    return newest[:-1] if newest[-1] else None


def _until_end(tokens: list[int], program: Program) -> list[int]:
    """The tokens up to and including the end of the sequence; padding after it is removed."""
    for i, token in enumerate(tokens):
        if token in program.tracker.eos:
            return tokens[: i + 1]
    return tokens
