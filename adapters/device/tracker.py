"""`Tracker` on the device: the phases and token counts of many rows at once."""

from __future__ import annotations

import torch

from thinkpace.adapters.device.columns import Columns, Ids, Mask, replace_where
from thinkpace.adapters.device.tables import MatcherTable, known_ids, per_token
from thinkpace.processors.core.tracker import Tracker
from thinkpace.processors.text.automaton import START
from thinkpace.processors.text.lexicon import LineKind, lexicon
from thinkpace.processors.text.openings import Line
from thinkpace.processors.text.vocabulary import Vocabulary
from thinkpace.types import Phase


class DeviceTracker:
    """Follows the markers in many rows.

    Args:
        tracker: the host's.
        vocabulary: of the tokens.
        device: holds the tables.
    """

    def __init__(self, tracker: Tracker, vocabulary: Vocabulary, device: torch.device) -> None:
        size = known_ids(vocabulary)
        openings = tracker.openings
        self.opens = MatcherTable(openings.matcher, size, device)
        self._lines_matter = bool(openings.kinds)
        self._lengths = torch.tensor(openings.lengths, device=device)
        self._at_line = torch.tensor(openings.at_line, device=device)
        visible = {**dict.fromkeys(range(size - 1), LineKind.VISIBLE), **openings.kinds}
        self._kinds = per_token(visible, size, device)
        self._begins = per_token({**dict.fromkeys(range(size), LineKind.VISIBLE), **openings.begins}, size, device)
        self.closes = MatcherTable(tracker.close_matcher, size, device)
        self._eos = per_token(dict.fromkeys(tracker.eos, 1), size, device, torch.bool)
        self._missing = per_token(lexicon(vocabulary).partial, size, device)

    def after_token(self, track: Columns, token: Ids, written: Mask) -> Columns:
        """`Tracker.after_token`; `written` marks the rows whose token was written."""
        thinks = track.phase == Phase.THINKING
        close_cursor = torch.where(thinks, track.cursor, START)
        open_cursor = torch.where(thinks, START, track.cursor)
        closes, opens = self.closes.step(close_cursor, token), self.opens.step(open_cursor, token)
        lines, counts = self._lines(open_cursor, track.line, opens, token)
        found = torch.where(counts, self.opens.found[opens], 0)
        opens = torch.where(counts, opens, torch.where(self.opens.found[opens] > 0, START, opens))
        length = torch.where(thinks, self.closes.found[closes], found)
        matched = length > 0
        cursor = torch.where(matched, START, torch.where(thinks, closes, opens))
        phase = torch.where(matched, torch.where(thinks, Phase.ANSWER, Phase.THINKING), track.phase)
        ends = self._eos[token]
        marks = matched & ~written
        closed, opened = marks & thinks, marks & ~thinks
        typed = torch.where(marks, torch.minimum(length - 1, torch.where(thinks, track.thinking, track.answer)), 0)
        generated = ~marks & ~written
        thought = generated & thinks & ~ends
        emitted = track.emitted + 1
        return track._replace(
            phase=phase,
            cursor=cursor,
            emitted=emitted,
            thinking=track.thinking - typed * thinks + thought.long(),
            injected=track.injected + (written & thinks).long(),
            closing=track.closing + (written & ~thinks).long(),
            marker=track.marker + torch.where(marks, typed + 1, 0),
            answer=track.answer - typed * ~thinks + (generated & ~thought).long(),
            opened=track.opened + opened.long(),
            forced_end=track.forced_end & ~closed,
            answer_from=torch.where(closed, emitted, torch.where(opened, -1, track.answer_from)),
            ended=ends,
            missing=self._still_missing(track, token),
            line=torch.where(thinks, track.line, torch.where(matched, Line.BEGINS, lines)),
        )

    def _lines(self, before: Ids, line: Ids, after: Ids, token: Ids) -> tuple[Ids, Mask]:
        """`Openings.step`: the line after one more token, and where a marker that is complete now opens thinking."""
        if not self._lines_matter:
            return line, torch.ones_like(before, dtype=torch.bool)
        length = self._lengths[after]
        kind, begins = self._kinds[token], self._begins[token]
        plain = torch.where(
            kind == LineKind.BREAK,
            Line.BEGINS,
            torch.where((kind == LineKind.BLANK) & (before == START), line, Line.INSIDE),
        )
        visible = (begins == LineKind.VISIBLE) | ((begins == LineKind.BLANK) & (before != START))
        started = torch.where(begins == LineKind.BREAK, Line.BEGINS, torch.where(visible, Line.INSIDE, line))
        goes_on = (length > 1) & (length == self._lengths[before] + 1)
        now = torch.where(length == 0, plain, torch.where(goes_on, line, started))
        return now, ~self._at_line[after] | (now == Line.BEGINS)

    def _still_missing(self, track: Columns, token: Ids) -> Ids:
        missing = self._missing[token]
        return torch.where(missing < 0, (track.missing + missing).clamp(min=0), missing)

    def after_close_token(
        self, track: Columns, token: Ids, typed: Ids, replaced: Ids, done: Mask, forced: Mask
    ) -> Columns:
        """`Tracker.after_close_token`, with the script's properties given per row."""
        typed = torch.minimum(typed - replaced, track.thinking)
        cursor = self.closes.step(track.cursor, token)
        closed = self.closes.found[cursor] > 0
        return track._replace(
            phase=torch.where(done, Phase.ANSWER, Phase.CLOSING),
            cursor=torch.where(done | closed, START, cursor),
            answer_from=torch.where(closed, track.emitted + 1, track.answer_from),
            emitted=track.emitted + 1,
            thinking=track.thinking - typed,
            injected=track.injected - replaced,
            marker=track.marker + typed,
            closing=track.closing + 1 + replaced,
            forced_end=forced,
            missing=self._still_missing(track, token),
            line=torch.where(track.answer_from >= 0, self._line_after(track, token), Line.BEGINS),
        )

    def _line_after(self, track: Columns, token: Ids) -> Ids:
        start = torch.full_like(token, START)
        opens = self.opens.step(start, token)
        line, counts = self._lines(start, track.line, opens, token)
        return torch.where(counts & (self.opens.found[opens] > 0), Line.BEGINS, line)

    def after_divergence(self, track: Columns, mask: Mask) -> Columns:
        """`Tracker.after_divergence` where the mask is true."""
        left = mask & (track.phase == Phase.CLOSING)
        closed = left & (track.answer_from >= 0)
        after = replace_where(track, closed, phase=Phase.ANSWER, cursor=START)
        return replace_where(after, left & ~closed, phase=Phase.THINKING, forced_end=False)
