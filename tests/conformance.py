"""What every engine must make of the same model and the same controls.

Each case is a script, what is asked, and what must come out; the expectations were worked out by hand. The numbers in
the names are those of the list of field defects that the cases guard against.
"""

from __future__ import annotations

from dataclasses import dataclass

from strategies import VOCABULARY

from thinkpace import BudgetForcing, Control, Markers, ThinkBudget

ONE = Markers("<t>", "</t>")  # single tokens
MANY = Markers("<think>", "</think>")  # < think > and < / think >


@dataclass(frozen=True)
class Case:
    """`says` is what the model would say after `prompt`; `text` is what must come out of it greedily."""

    name: str
    prompt: str
    says: str
    controls: tuple[Control, ...]
    text: str
    thinking_tokens: int
    end: str
    waits: int = 0
    markers: Markers = ONE
    limit: int = 40


def _think(**fields: object) -> tuple[Control, ...]:
    return (ThinkBudget(answer_reserve=0, **fields),)  # type: ignore[arg-type]  # the cases below are read by people


def _force(**fields: object) -> tuple[Control, ...]:
    return (BudgetForcing(answer_reserve=0, **{"final": "so", **fields}),)  # type: ignore[arg-type]  # likewise


CASES = [
    Case("no control", "Q<t>", "aa</t>7", (), "aa</t>7<eos>", 2, "natural"),
    Case("no limit", "Q<t>", "aa</t>7", _think(max_tokens=-1), "aa</t>7<eos>", 2, "natural"),
    Case("limit not reached", "Q<t>", "aa</t>7", _force(max_tokens=3), "aa</t>7<eos>", 2, "natural"),
    Case("limit met exactly by a natural close", "Q<t>", "aa</t>7", _think(max_tokens=2), "aa</t>7<eos>", 2, "forced"),
    Case("limit", "Q<t>", "aaaaaa</t>7", _think(max_tokens=3), "aaa</t>aaa</t>7<eos>", 3, "forced"),
    Case("limit, final text", "Q<t>", "aaaaaa</t>7", _force(max_tokens=3), "aaa</t>soaaa</t>7<eos>", 3, "forced"),
    Case("#14 limit 0", "Q<t>", "aa</t>7", _force(max_tokens=0), "</t>soaa</t>7<eos>", 0, "forced"),
    Case("#1 no phrase in the answer", "Q<t>", "a</t>aaaaaa7", _force(max_tokens=3), "a</t>aaaaaa7<eos>", 1, "natural"),
    Case("final text always", "Q<t>", "a</t>7", _force(max_tokens=3, final_always=True), "a</t>so7<eos>", 1, "natural"),
    Case("#12 the model opens thinking", "Q", "<t>aaaa</t>7", _think(max_tokens=2), "<t>aa</t>aa</t>7<eos>", 2, "forced"),
    Case("#12 and the limit is 0", "Q", "<t>aa</t>7", _think(max_tokens=0), "<t></t>aa</t>7<eos>", 0, "forced"),
    Case("it never opens", "Q", "aaaa7", _force(max_tokens=2, waits=1), "aaaa7<eos>", 0, "none"),
    Case("#13 blocks in earlier turns", "Q<t>a</t>7<eos>Q", "aaa7", _think(max_tokens=1), "aaa7<eos>", 0, "none"),
    Case("#13 an open block in an earlier turn", "Q<t>a<eos>Q", "aaa7", _think(max_tokens=1), "aaa7<eos>", 0, "none"),
    Case("prefilled thinking is not charged", "Q<t>aa", "aa</t>7", _think(max_tokens=2), "aa</t>7<eos>", 2, "forced"),
    Case("#19 minimum", "Q<t>", "a</t>7", _force(min_tokens=3, wait="so"), "asoso</t>7<eos>", 3, "natural", 2),
    Case("minimum and limit", "Q<t>", "a</t>aaa</t>7", _force(min_tokens=3, max_tokens=3), "aWait<</t>soaaa</t>7<eos>", 3,
         "forced", 1),
    Case("one wait", "Q<t>", "a</t>7", _force(waits=1), "aWait</t>7<eos>", 2, "natural", 1),
    Case("three waits of two tokens", "Q<t>", "a</t>7", _force(waits=3, wait="Waitso"), "a" + 3 * "Waitso" + "</t>7<eos>", 7,
         "natural", 3),
    Case("waits end at the limit", "Q<t>", "a</t>7", _force(waits=9, max_tokens=4), "aWaitWait</t>7<eos>", 3, "natural", 2),
    Case("a natural wait is no extension", "Q<t>", "aWaita</t>7", _force(waits=1), "aWaitaWait</t>7<eos>", 4, "natural", 1),
    Case("#5 the sequence ends while thinking", "Q<t>", "aa", _think(max_tokens=9), "aa</t><eos>", 2, "natural"),
    Case("#5 and waits are left", "Q<t>", "aa", _force(waits=1), "aaWait</t><eos>", 3, "natural", 1),
    Case("reopened within the budget", "Q<t>", "a</t><t>aaa</t>7", _think(max_tokens=3), "a</t><t>aa</t>a</t>7<eos>", 3, "forced"),
    Case("#7 close of many tokens", "Q<think>", "aa</think>7", _think(max_tokens=9), "aa</think>7<eos>", 2, "natural",
         markers=MANY),
    Case("#7 forced close of many tokens", "Q<think>", "aaaa</think>7", _think(max_tokens=2), "aa</think>aa</think>7<eos>", 2,
         "forced", markers=MANY),
    Case("#7 a begun close is completed", "Q<think>", "a</think>7", _think(max_tokens=2), "a</think>7<eos>", 1, "natural",
         markers=MANY),
    Case("#7 and so is one at the limit", "Q<think>", "aa<a</think>7", _think(max_tokens=3), "aa</think>a</think>7<eos>", 2,
         "natural", markers=MANY),
    Case("#7 a close below the limit is no forced one", "Q<think>", "a</think>7", _force(max_tokens=4), "a</think>7<eos>", 1,
         "natural", markers=MANY),
    Case("#19 minimum with a close of many tokens", "Q<think>", "a</think>7", _think(min_tokens=5),
         "a</think<>7</think><eos>", 7, "natural", markers=MANY),
    Case("closes are refused and nothing is written", "Q<t>", "a</t>7", _force(waits=2, wait=None), "a<<</t>7<eos>", 3, "natural", 2),
    Case("no opening without room to close", "Q", "aaaaaaa<think>a</think>7", (ThinkBudget(99, answer_reserve=2),), "aaaaaaa<think<>a", 0, "none",
         markers=MANY, limit=12),
    Case("#7 waits replace the end of the close", "Q<think>", "a</think>7", _force(waits=1, final=None),
         "a</thinkWait>7</think><eos>", 7, "natural", 1,
         markers=MANY),
    Case("#4 room for the answer", "Q<t>", "aaaaaaaaaa</t>7", (ThinkBudget(answer_reserve=3),), "aaaaaa</t>aaa", 6, "forced",
         limit=10),
]  # fmt: skip


def prompt_of(case: Case) -> tuple[int, ...]:
    return VOCABULARY.encode(case.prompt)
