"""The closing sequence: how thinking is closed by force, the same way whichever control closes it."""

from __future__ import annotations

from collections.abc import Mapping

from thinkpace.errors import UnsupportedControl
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.decisions import Script
from thinkpace.processors.core.tracker import Track
from thinkpace.processors.text.automaton import START, Matcher, matcher
from thinkpace.processors.text.vocabulary import TokenIds


def check_phrases(binding: Binding, phrases: Mapping[str, TokenIds]) -> None:
    """Refuse phrases that would themselves end the sequence, or open or close thinking: tracking would go wrong.

    Raises:
        UnsupportedControl: naming the phrase.
    """
    opens, closes = matcher(binding.markers.open_spellings), matcher(binding.markers.close_spellings)
    for name, ids in phrases.items():
        if binding.vocabulary.eos & set(ids):
            raise UnsupportedControl(f"{name} must not hold an end-of-sequence token: write another text")
        if _holds(opens, ids):
            raise UnsupportedControl(f"{name} must not hold the opening marker: write another text")
        if name != "forced_close" and _holds(closes, ids):
            raise UnsupportedControl(f"{name} must not hold the closing marker: write another text")


def _holds(matcher: Matcher, ids: TokenIds) -> bool:
    cursor = START
    for token in ids:
        cursor = matcher.step(cursor, token)
        if matcher.found(cursor) is not None:
            return True
    return False


class ClosingSequence:
    """The tokens written to close thinking: a message, the forced close, a final text.

    A marker that the model has half written is completed, without the message.

    Args:
        binding: the vocabulary and markers.
        message: written before the marker; it is part of the closing sequence, not of thinking.
        final: written after the forced close.
        min_tokens: thinking tokens below which no other control may close.
    """

    __slots__ = ("_scripts", "_typed", "final", "length", "message", "min_tokens")

    def __init__(self, binding: Binding, message: TokenIds = (), final: TokenIds = (), min_tokens: int = 0) -> None:
        markers, closes = binding.markers, matcher(binding.markers.close_spellings)
        self.message, self.final, self.min_tokens = message, final, min_tokens
        self._typed = [closes.partial_match(cursor) for cursor in range(len(closes))]
        rests = markers.rests_of_close()
        self._scripts: dict[str, list[Script]] = {}
        for why in ("limit", "reserve"):
            self._scripts[why] = [
                Script((() if typed else message) + rests[typed] + final, why, typed, ends_thinking=True)
                for typed in self._typed
            ]
        #: length of the whole closing sequence, in tokens
        self.length = len(self._scripts["limit"][0].ids)

    def typed_marker(self, cursor: int) -> int:
        """How many tokens of the marker the model has written at this cursor."""
        return len(self._typed[cursor])

    def script(self, why: str, cursor: int) -> Script:
        """The script that closes thinking at this cursor of the closing matcher."""
        if why not in self._scripts:
            self._scripts[why] = [
                Script(script.ids, why, script.typed_marker, ends_thinking=True) for script in self._scripts["limit"]
            ]
        return self._scripts[why][cursor]

    def allowed(self, track: Track) -> bool:
        """Whether a control may close here: not below the minimum, and not inside a character."""
        return track.missing == 0 and track.thinking_spent - self.typed_marker(track.cursor) >= self.min_tokens
