"""Replaces whatever would complete a phrase by a line break, on the device."""

from __future__ import annotations

import torch

from thinkpace.adapters.device.columns import Ids, Mask
from thinkpace.adapters.device.machine import EditStep, Tables
from thinkpace.processors.text.phrases import Phrases


class LineBreakInstead:
    """Replaces every token that would complete a phrase by a line break.

    Args:
        phrases: the host's.
        line_break: its id.
        tables: of the program.
    """

    def __init__(self, phrases: Phrases, line_break: int, tables: Tables) -> None:
        self.table = tables.phrases(phrases)
        self._line_break = line_break
        self._sets = tables.sets()
        self._which = self._sets.added(
            set(phrases.completions(cursor)) - {line_break} for cursor in range(phrases.cursors)
        )

    def write(self, cursor: Ids, mask: Mask) -> EditStep:
        which = torch.where(mask, self._which[cursor], 0)
        return EditStep("redirect", self._sets, which, torch.full_like(cursor, self._line_break))

    def replaced(self, cursor: Ids, token: Ids, drawn: Ids) -> Mask:
        """Rows in which the line break replaced `drawn`."""
        moved = (drawn >= 0) & (drawn != token) & (token == self._line_break)
        return moved & self.table.found(cursor, drawn.clamp(min=0))
