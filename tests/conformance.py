"""What every engine must make of the same model and the same controls.

Each case is a script, what is asked, and what must come out; the expectations were worked out by hand. The numbers in
the names are those of the list of field defects that the cases guard against.
"""

from __future__ import annotations

from dataclasses import dataclass

from strategies import VOCABULARY

from thinkpace import (
    BudgetForcing,
    ConfidenceExit,
    Control,
    DraftLimit,
    LoopBreaker,
    Markers,
    PhasedSpeed,
    StepBudget,
    StructuredAnswer,
    SuppressExpressions,
    ThinkBudget,
    ThoughtBudget,
    ThoughtSwitchPenalty,
    after,
    during,
)

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
    Case("landing: the cut waits for the end of a line", "Q<t>", "aaaa\naaaa</t>7", _think(max_tokens=6, landing=3),
         "aaaa\n</t>aaaa</t>7<eos>", 5, "forced"),
    Case("landing: the limit holds where no line ends", "Q<t>", "aaaaaaaa</t>7", _think(max_tokens=6, landing=3),
         "aaaaaa</t>aa</t>7<eos>", 6, "forced"),
    Case("landing: closing becomes likelier and likelier", "Q<t>", "aaaaaa</t>7", _think(max_tokens=4, landing=4, landing_boost=40),
         "a</t>aaaaa</t>7<eos>", 1, "natural"),
    Case("a message before the close", "Q<t>", "aaaa</t>7", _think(max_tokens=2, message="so"), "aaso</t>aa</t>7<eos>", 2, "forced"),
    Case("#7 no message inside a begun close", "Q<think>", "a</think>7", _think(max_tokens=2, message="so"), "a</think>7<eos>", 1, "natural",
         markers=MANY),
    Case("a character is not cut", "Q<t>", "a漢1漢2漢3</t>7", _think(max_tokens=2), "a<</t>漢1漢2漢3</t>7<eos>", 2, "forced"),
    Case("#3 guard: no going on untagged", "Q<t>", "aWait7", _think(max_tokens=1, guard=3), "a</t><<<Wait7<eos>", 1, "forced"),
    Case("#3 guard: no reopening", "Q<t>", "aa<t>a", _think(max_tokens=1, guard=1), "a</t>a<<<<", 1, "forced", limit=7),
    Case("TIP holds a switch back", "Q<t>", "a so</t>7", (ThoughtSwitchPenalty(11, 3, ("so",)),), "a <so</t>7<eos>", 4, "natural"),
    Case("TIP leaves words alone that hold one", "Q<t>", "aso</t>7", (ThoughtSwitchPenalty(11, 9, ("so",)),), "aso</t>7<eos>", 2, "natural"),
    Case("TIP stops at the close", "Q<t>", "a</t> so7", (ThoughtSwitchPenalty(11, 9, ("so",)),), "a</t> so7<eos>", 1, "natural"),
    Case("TIP: a phrase at its last token", "Q<t>", "Wait so</t>7", (ThoughtSwitchPenalty(11, 3, ("wait so",)),), "Wait <so</t>7<eos>", 4, "natural"),
    Case("no second thought", "Q<t>", "a so a</t>7", (ThoughtBudget(1, ("so",)),), "a \n</t>so a</t>7<eos>", 3, "forced"),
    Case("a second thought but no third", "Q<t>", "so so a</t>7", (ThoughtBudget(2, ("so",)),), "so \n</t>so a</t>7<eos>", 3, "forced"),
    Case("whole words are suppressed", "Q<t>", "a so", (SuppressExpressions(("so",)),), "a <<<<", 6, "open", limit=6),
    Case("and parts of words are not", "Q<t>", "aso</t>7", (SuppressExpressions(("so",)),), "aso</t>7<eos>", 2, "natural"),
    Case("suppressed in the answer only", "Q<t>", "a so</t>7", (during("answer", SuppressExpressions(("so",))),), "a so</t>7<eos>", 3, "natural"),
    Case("suppressed from the fourth token on", "Q<t>", "so so so", (after(3, SuppressExpressions(("so",))),), "so so <", 5, "open", limit=5),
    Case("a Wait that is written is not suppressed", "Q<t>", "a</t>7", (SuppressExpressions(("wait",)), BudgetForcing(waits=1, final=None, answer_reserve=0)),
         "aWait</t>7<eos>", 2, "natural", 1),
    Case("one word a step", "Q<t>", "a a a\n7</t>7", (DraftLimit(1),), "a \na \na\n7</t>7<eos>", 9, "natural"),
    Case("a word of many tokens is one", "Q<t>", "aso7a</t>7", (DraftLimit(1),), "aso7a</t>7<eos>", 4, "natural"),
    Case("one word a step, and a close that spells one", "Q<think>", "a</think>7", (DraftLimit(1),), "a</think>7<eos>", 1, "natural",
         markers=MANY),
    Case("a marker is no word", "Q<t>", "a</t>7", (SuppressExpressions(("t",)), DraftLimit(1)), "a</t>7<eos>", 1, "natural"),
    Case("one word a step, softly", "Q<t>", "a a</t>7", (DraftLimit(1, "soft", penalty=11),), "a\n a\n</t>7<eos>", 5, "natural"),
    Case("a Wait that is written is no thought", "Q<t>", "a\n</t>7", (ThoughtBudget(1, ("wait",)), BudgetForcing(waits=1, final=None, answer_reserve=0)),
         "a\nWait</t>7<eos>", 3, "natural", 1),
    Case("two steps", "Q<t>", "a\na\na\na</t>7", (StepBudget(2, ("\n",)),), "a\na\n</t>a\na</t>7<eos>", 4, "forced"),
    Case("empty steps are none", "Q<t>", "\n\na\na</t>7", (StepBudget(1, ("\n",)),), "\n\na\n</t>a</t>7<eos>", 4, "forced"),
    Case("a loop is ended", "Q<t>", 40 * "a;", (LoopBreaker(2, 2, 4),), 16 * "a;" + "</t>a;a", 32, "forced", limit=36),
    Case("sure by probability", "Q<t>", "a\na</t>7", (ConfidenceExit("probability", separators=("\n",)),), "a\n</t>a</t>7<eos>", 2, "forced"),
    Case("not sure enough", "Q<t>", "a\na</t>7", (ConfidenceExit("probability", 1.0, separators=("\n",)),), "a\na</t>7<eos>", 3, "natural"),
    Case("sure by the margin", "Q<t>", "a\na</t>7", (ConfidenceExit("margin", 11.0, separators=("\n",)),), "a\n</t>a</t>7<eos>", 2, "forced"),
    Case("sure by entropy, at the second look", "Q<t>", "a\na\na</t>7", (ConfidenceExit("entropy", 0.1, 2, separators=("\n",)),),
         "a\na\n</t>a</t>7<eos>", 4, "forced"),
    Case("sure by a trial", "Q<t>", "a\na</t>7", (ConfidenceExit("trial", separators=("\n",), trial="so"),), "a\n</t>a</t>7<eos>", 2, "forced"),
    Case("not below the minimum: sure again at the next end", "Q<t>", "a\naaa\na</t>7", (ConfidenceExit("margin", 11.0, separators=("\n",)), *_think(min_tokens=4)),
         "a\naaa\n</t>a</t>7<eos>", 6, "forced"),
    Case("slow: Wait is written", "Q<t>", "a\n</t>7", (PhasedSpeed(slow_tokens=1000, separators=("\n",), answer_reserve=0),), "a\nWait</t>7<eos>", 3,
         "natural"),
    Case("fast: Wait closes", "Q<t>", "a so a</t>7", (PhasedSpeed(slow_tokens=1, slow=("so",), answer_reserve=0),), "a \n</t>so a</t>7<eos>", 3, "forced"),
    Case("slow within the limit", "Q<t>", "a\naa</t>7", (PhasedSpeed(3, slow_tokens=3, separators=("\n",), answer_reserve=0),), "a\na</t>a</t>7<eos>", 3,
         "forced"),
    Case("the answer is one of these", "Q<t>", "aa</t>a7", (StructuredAnswer(choices=("7", "so")),), "aa</t>so<eos>", 2, "natural"),
    Case("and after a forced close too", "Q<t>", "aa77", (StructuredAnswer(regex="77"), *_force(max_tokens=2)), "aa</t>so77<eos>", 2, "forced"),
    Case("and where there is no thinking", "Q", "7a", (StructuredAnswer(choices=("7",)),), "7<eos>", 0, "none"),
    Case("a model may still open thinking", "Q", "<t>aa</t>a7", (StructuredAnswer(choices=("7", "so")),), "<t>aa</t>so<eos>", 2, "natural"),
    Case("#4 room for the answer", "Q<t>", "aaaaaaaaaa</t>7", (ThinkBudget(answer_reserve=3),), "aaaaaa</t>aaa", 6, "forced",
         limit=10),
]  # fmt: skip


def prompt_of(case: Case) -> tuple[int, ...]:
    return VOCABULARY.encode(case.prompt)
