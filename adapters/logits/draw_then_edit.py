"""Draw a token and apply the edit to it: for engines that look at a token before it is taken."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from thinkpace.adapters.logits.numpy_writer import Logits
from thinkpace.processors.core.edit import Edit


def draw_then_edit(row: Logits, edit: Edit, draw: Callable[[Logits], int]) -> tuple[int, int]:
    """Draw a token and look at it before it is taken: the same distribution as writing the edit and drawing.

    Without filters only, which would see the moved probability where it was before.

    Args:
        row: shape (vocabulary,), changed in place.
        edit: what holds for the next token.
        draw: an id of a row.

    Returns:
        (what the model drew, what comes).
    """
    if edit.only is not None:
        living = sorted(edit.only | edit.redraw)
        kept = row[living]
        row[:] = -np.inf
        row[living] = kept
    elif edit.ban:
        row[sorted(edit.ban)] = -np.inf
    if edit.bias:
        row[[*edit.bias]] += np.array([*edit.bias.values()], np.float32)
    drawn = token = draw(row)
    if drawn in edit.redraw:
        row[sorted(edit.redraw)] = -np.inf
        token = draw(row)
    came = edit.redirect.get(token, token)
    return (drawn if drawn in edit.redraw else token), came
