"""The part of a text in which the answer is: after the thinking."""

from __future__ import annotations


def answer_part(text: str, open_: str, close: str, opened: bool | None = None) -> str | None:
    """The text after the thinking; None if the thinking never closes.

    Markers are read in order, as the controls do: a closing marker in the answer is text, and thinking that opens again
    lasts until its own close.

    Args:
        text: the whole generated text.
        open_, close: the markers.
        opened: whether the prompt already opened thinking. None: it did if the text closes thinking before opening it.
    """
    first_open, first_close = text.find(open_), text.find(close)
    if opened is None:
        opened = first_close >= 0 and not 0 <= first_open < first_close
    at, thinking = 0, opened
    answer_from = 0
    while True:
        marker = close if thinking else open_
        position = text.find(marker, at)
        if position < 0:
            return None if thinking else text[answer_from:]
        at = position + len(marker)
        thinking = not thinking
        if not thinking:
            answer_from = at
