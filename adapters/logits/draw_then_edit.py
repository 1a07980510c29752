"""Draw a token, then apply the edit to it: for engines that can change a token after drawing it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from thinkpace.adapters.logits.numpy_writer import Logits
from thinkpace.processors.core.edit import Edit


def draw_then_edit(row: Logits, edit: Edit, draw: Callable[[Logits], int]) -> tuple[int, int]:
    """Draw a token and map it by the edit; the distribution is the same as writing the edit and then drawing.

    Only valid without sampling filters, which would see moved probability at its original id.

    Args:
        row: shape (vocabulary,), changed in place.
        edit: the edit of the next token.
        draw: draws an id from a row.

    Returns:
        (the id that the model drew, the resulting token).
    """
    if edit.only is not None:
        allowed = sorted(edit.only | edit.redraw)
        logits = row[allowed]
        row[:] = -np.inf
        row[allowed] = logits
    elif edit.ban:
        row[sorted(edit.ban)] = -np.inf
    if edit.bias:
        row[[*edit.bias]] += np.array([*edit.bias.values()], np.float32)
    drawn = token = draw(row)
    if drawn in edit.redraw:
        row[sorted(edit.redraw)] = -np.inf
        token = draw(row)
    result = edit.redirect.get(token, token)
    return (drawn if drawn in edit.redraw else token), result
