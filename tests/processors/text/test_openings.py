"""Where an opening marker opens thinking, and where an answer mentions it."""

from __future__ import annotations

import pytest

from thinkpace import Markers
from thinkpace.processors.core.tracker import Tracker
from thinkpace.testing import VOCABULARY
from thinkpace.types import Phase

ONE, MANY = Markers("<t>", "</t>"), Markers("<think>", "</think>")


def opened(markers: Markers, text: str, prompt: str = "Q") -> int:
    tracker = Tracker(markers.bind(VOCABULARY), VOCABULARY)
    track = tracker.start(VOCABULARY.encode(prompt))
    for token in VOCABULARY.encode(text):
        track = tracker.after_token(track, token)
    return track.opened


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("<t>", 1),
        (" \n <t>", 1),
        ("7<t>", 0),
        ("7 <t>", 0),
        ("7\n<t>", 1),
        ("7\n <t>", 1),
        ("7\n7<t>", 0),
        ("7<t>\n<t>", 1),
        ("<t>a</t><t>", 2),
        ("<t>a</t>7<t>", 1),
        ("<t>a</t>7\n<t>", 2),
    ],
)
def test_a_marker_opens_at_the_beginning_of_a_line(text: str, times: int) -> None:
    assert opened(ONE, text) == times
    assert opened(MANY, text.replace("t>", "think>")) == times


@pytest.mark.parametrize(("text", "times"), [("<<think>", 0), ("\n<<think>", 0), ("<\n<think>", 1), ("<thi7", 0)])
def test_a_marker_that_is_begun_and_left_is_visible_text(text: str, times: int) -> None:
    assert opened(MANY, text) == times


@pytest.mark.parametrize(
    ("turn", "begun"),
    [("ye", True), (" \n", False), ("<think>so", False), ("<think>so</think>\n", False), ("so</think>ye", True)],
)
def test_what_begins_an_answer(turn: str, begun: bool) -> None:
    assert Markers("<think>", "</think>").answer_begun(turn) is begun


def test_reopens() -> None:
    assert opened(Markers("<t>", "</t>", reopens="anywhere"), "7<t>") == 1
    with pytest.raises(ValueError, match="reopens must be one of line, anywhere, got 'never'"):
        Markers("<t>", "</t>", reopens="never")


def start(prompt: str, *ends: str) -> Phase:
    markers = Markers("<t>", "</t>", generation_prompts=ends)
    return Tracker(markers.bind(VOCABULARY), VOCABULARY).start(VOCABULARY.encode(prompt)).phase


def test_the_generation_prompt_decides_not_what_a_user_mentions() -> None:
    assert start("Qa<t>a;") is Phase.THINKING  # nothing is known about the template
    assert start("Qa<t>a;", ";") is Phase.ANSWER
    assert start("Qa</t>a;<t>", ";", ";<t>") is Phase.THINKING
    assert start("Q<t>a;<t></t>", ";", ";<t>", ";<t></t>") is Phase.ANSWER
    assert start("Q<t>a;Q<t>aa;", ";") is Phase.ANSWER


def test_a_prefill_after_the_generation_prompt_counts() -> None:
    assert start("Q;<t>aa", ";") is Phase.THINKING
    assert start("Q<t>;<t>aa</t>7", ";") is Phase.ANSWER
    markers = Markers("<t>", "</t>", generation_prompts=(";",))
    tracker = Tracker(markers.bind(VOCABULARY), VOCABULARY)
    assert tracker.after_token(tracker.start(VOCABULARY.encode("Q;7 ")), VOCABULARY.encode("<t>")[0]).opened == 0
    assert tracker.after_token(tracker.start(VOCABULARY.encode("Q;7\n")), VOCABULARY.encode("<t>")[0]).opened == 1
