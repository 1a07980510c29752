"""What every engine must make of the same model and the same controls.

Each case is a script, what must come of it, and the controls; the expectations were worked out by hand.
"""

from __future__ import annotations

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
from thinkpace.testing import Case

MANY = Markers("<think>", "</think>")  # < think > and < / think >
SPAN = (("so", "7"),)


def _think(**fields: object) -> tuple[Control, ...]:
    return (ThinkBudget(answer_reserve=0, **fields),)  # type: ignore[arg-type]  # the cases below are read by people


def _force(**fields: object) -> tuple[Control, ...]:
    return (BudgetForcing(answer_reserve=0, **{"final": "so", **fields}),)  # type: ignore[arg-type]  # likewise


CASES: dict[str, Case] = {
    # no control
    "no control": Case("aa</t>7", "aa</t>7<eos>", 2, "natural"),
    # BudgetForcing and ThinkBudget: limits, minima, waits
    "no limit": Case("aa</t>7", "aa</t>7<eos>", 2, "natural", _think(max_tokens=-1)),
    "limit not reached": Case("aa</t>7", "aa</t>7<eos>", 2, "natural", _force(max_tokens=3)),
    "limit met exactly by a natural close": Case("aa</t>7", "aa</t>7<eos>", 2, "forced", _think(max_tokens=2)),
    "limit": Case("aaaaaa</t>7", "aaa</t>aaa</t>7<eos>", 3, "forced", _think(max_tokens=3)),
    "limit, final text": Case("aaaaaa</t>7", "aaa</t>soaaa</t>7<eos>", 3, "forced", _force(max_tokens=3)),
    "limit 0": Case("aa</t>7", "</t>soaa</t>7<eos>", 0, "forced", _force(max_tokens=0)),
    "no phrase in the answer": Case("a</t>aaaaaa7", "a</t>aaaaaa7<eos>", 1, "natural", _force(max_tokens=3)),
    "final text always": Case("a</t>7", "a</t>so7<eos>", 1, "natural", _force(max_tokens=3, final_always=True)),
    "the model opens thinking": Case(
        "<t>aaaa</t>7", "<t>aa</t>aa</t>7<eos>", 2, "forced", _think(max_tokens=2), prompt="Q"
    ),
    "and the limit is 0": Case("<t>aa</t>7", "<t></t>aa</t>7<eos>", 0, "forced", _think(max_tokens=0), prompt="Q"),
    "it never opens": Case("aaaa7", "aaaa7<eos>", 0, "none", _force(max_tokens=2, waits=1), prompt="Q"),
    "blocks in earlier turns": Case("aaa7", "aaa7<eos>", 0, "none", _think(max_tokens=1), prompt="Q<t>a</t>7<eos>Q"),
    "an open block in an earlier turn": Case(
        "aaa7", "aaa7<eos>", 0, "none", _think(max_tokens=1), prompt="Q<t>a<eos>Q"
    ),
    "prefilled thinking is not charged": Case(
        "aa</t>7", "aa</t>7<eos>", 2, "forced", _think(max_tokens=2), prompt="Q<t>aa"
    ),
    "minimum": Case("a</t>7", "asoso</t>7<eos>", 3, "natural", _force(min_tokens=3, wait="so"), waits=2),
    "minimum and limit": Case(
        "a</t>aaa</t>7", "aWait<</t>soaaa</t>7<eos>", 3, "forced", _force(min_tokens=3, max_tokens=3), waits=1
    ),
    "one wait": Case("a</t>7", "aWait</t>7<eos>", 2, "natural", _force(waits=1), waits=1),
    "three waits of two tokens": Case(
        "a</t>7", "a" + 3 * "Waitso" + "</t>7<eos>", 7, "natural", _force(waits=3, wait="Waitso"), waits=3
    ),
    "waits end at the limit": Case(
        "a</t>7", "aWaitWait</t>7<eos>", 3, "natural", _force(waits=9, max_tokens=4), waits=2
    ),
    "a natural wait is no extension": Case(
        "aWaita</t>7", "aWaitaWait</t>7<eos>", 4, "natural", _force(waits=1), waits=1
    ),
    "the sequence ends while thinking": Case("aa", "aa</t><eos>", 2, "eos", _think(max_tokens=9)),
    "and waits are left": Case("aa", "aaWait</t><eos>", 3, "eos", _force(waits=1), waits=1),
    "reopened within the budget": Case(
        "a</t><t>aaa</t>7", "a</t><t>aa</t>a</t>7<eos>", 3, "forced", _think(max_tokens=3)
    ),
    "reopened at a new line of the answer": Case(
        "a</t>7\n<t>aaa</t>7", "a</t>7\n<t>aa</t>a</t>7<eos>", 3, "forced", _think(max_tokens=3)
    ),
    "a tag inside a line of the answer is text": Case(
        "a</t>7 <t>aaa", "a</t>7 <t>aaa<eos>", 1, "natural", _think(max_tokens=3)
    ),
    "and is not barred either": Case("a</t>7<t>a", "</t>a</t>7<t>a<eos>", 0, "forced", _think(max_tokens=0)),
    "a tag of many tokens inside a line is text": Case(
        "7<think>aaa", "7<think>aaa<eos>", 0, "none", _think(max_tokens=1), prompt="Q", markers=MANY
    ),
    "unless it may open anywhere": Case(
        "7<t>aaa</t>7",
        "7<t>a</t>aa</t>7<eos>",
        1,
        "forced",
        _think(max_tokens=1),
        prompt="Q",
        markers=Markers("<t>", "</t>", reopens="anywhere"),
    ),
    "close of many tokens": Case(
        "aa</think>7", "aa</think>7<eos>", 2, "natural", _think(max_tokens=9), prompt="Q<think>", markers=MANY
    ),
    "forced close of many tokens": Case(
        "aaaa</think>7",
        "aa</think>aa</think>7<eos>",
        2,
        "forced",
        _think(max_tokens=2),
        prompt="Q<think>",
        markers=MANY,
    ),
    "a begun close is completed": Case(
        "a</think>7", "a</think>7<eos>", 1, "natural", _think(max_tokens=2), prompt="Q<think>", markers=MANY
    ),
    "and so is one at the limit": Case(
        "aa<a</think>7",
        "aa</think>a</think>7<eos>",
        2,
        "natural",
        _think(max_tokens=3),
        prompt="Q<think>",
        markers=MANY,
    ),
    "a close below the limit is no forced one": Case(
        "a</think>7", "a</think>7<eos>", 1, "natural", _force(max_tokens=4), prompt="Q<think>", markers=MANY
    ),
    "minimum with a close of many tokens": Case(
        "a</think>7", "a////</think>7<eos>", 5, "natural", _think(min_tokens=5), prompt="Q<think>", markers=MANY
    ),
    "closes are refused and nothing is written": Case(
        "a</t>7", "a<<</t>7<eos>", 3, "natural", _force(waits=2, wait=None), waits=2
    ),
    "a close of many tokens is taken back for a wait": Case(
        "a</think>7",
        "aWait</think>7<eos>",
        2,
        "natural",
        _force(waits=1, final=None),
        prompt="Q<think>",
        markers=MANY,
        waits=1,
    ),
    "three times, and at the very beginning": Case(
        "</think>7",
        3 * "Waitso" + "</think>7<eos>",
        6,
        "natural",
        _force(waits=3, wait="Waitso", final=None),
        prompt="Q<think>",
        markers=MANY,
        waits=3,
    ),
    "a limit that is reached inside the marker completes it": Case(
        "a</think>7",
        "aWaitWait</think>7<eos>",
        3,
        "natural",
        _force(waits=9, max_tokens=6, final=None),
        prompt="Q<think>",
        markers=MANY,
        waits=2,
    ),
    "a marker that begins in the prompt stands": Case(
        "/think>7",
        "/think>7<eos>",
        0,
        "natural",
        _force(waits=1, final=None),
        prompt="Q<think>a<",
        markers=MANY,
    ),
    "taken back below the minimum": Case(
        "a</think>7",
        "aWaitWait</think>7<eos>",
        3,
        "natural",
        _force(min_tokens=3, final=None),
        prompt="Q<think>",
        markers=MANY,
        waits=2,
    ),
    "refused without a text": Case(
        "a</think>7",
        "a//</think>7<eos>",
        3,
        "natural",
        _force(waits=2, wait=None, final=None),
        prompt="Q<think>",
        markers=MANY,
        waits=2,
    ),
    "beside a control that counts steps": Case(
        "a\na</think>7",
        "a\naWait</think>7<eos>",
        4,
        "natural",
        (StepBudget(2, ("\n",)), *_force(waits=1, final=None)),
        prompt="Q<think>",
        markers=MANY,
        waits=1,
    ),
    "waits follow the half-written marker, as approximate=True allows, where nothing is taken back": Case(
        "a</think>7",
        "aWait</think>7<eos>",
        2,
        "natural",
        _force(waits=1, final=None, approximate=True),
        prompt="Q<think>",
        markers=MANY,
        waits=1,
    ),
    "landing: the cut waits for the end of a line": Case(
        "aaaa\naaaa</t>7", "aaaa\n</t>aaaa</t>7<eos>", 5, "forced", _think(max_tokens=6, landing=3)
    ),
    "landing: the limit holds where no line ends": Case(
        "aaaaaaaa</t>7", "aaaaaa</t>aa</t>7<eos>", 6, "forced", _think(max_tokens=6, landing=3)
    ),
    "landing: closing becomes likelier and likelier": Case(
        "aaaaaa</t>7", "a</t>aaaaa</t>7<eos>", 1, "natural", _think(max_tokens=4, landing=4, landing_boost=40)
    ),
    "a message before the close": Case(
        "aaaa</t>7", "aaso</t>aa</t>7<eos>", 2, "forced", _think(max_tokens=2, message="so")
    ),
    "no message inside a begun close": Case(
        "a</think>7",
        "a</think>7<eos>",
        1,
        "natural",
        _think(max_tokens=2, message="so"),
        prompt="Q<think>",
        markers=MANY,
    ),
    "a character is not cut": Case("a漢1漢2漢3</t>7", "a<</t>漢1漢2漢3</t>7<eos>", 2, "forced", _think(max_tokens=2)),
    "guard: no going on untagged": Case("aWait7", "a</t><<<Wait7<eos>", 1, "forced", _think(max_tokens=1, guard=3)),
    "guard: no reopening": Case("aa\n<t>a", "a</t>a\n<<t>a", 1, "forced", _think(max_tokens=1, guard=1), limit=7),
    # ThinkBudget
    "no opening without room to close": Case(
        "aaaaaa\n<think>a</think>7",
        "aaaaaa\n<think<>a",
        0,
        "none",
        (ThinkBudget(99, answer_reserve=2),),
        prompt="Q",
        markers=MANY,
        limit=12,
    ),
    "room for the answer": Case(
        "aaaaaaaaaa</t>7", "aaaaaa</t>aaa", 6, "forced", (ThinkBudget(answer_reserve=3),), limit=10
    ),
    # ThoughtSwitchPenalty
    "TIP holds a switch back": Case(
        "a so</t>7", "a <so</t>7<eos>", 4, "natural", (ThoughtSwitchPenalty(11, 3, ("so",)),)
    ),
    "TIP leaves words alone that hold one": Case(
        "aso</t>7", "aso</t>7<eos>", 2, "natural", (ThoughtSwitchPenalty(11, 9, ("so",)),)
    ),
    "TIP stops at the close": Case(
        "a</t> so7", "a</t> so7<eos>", 1, "natural", (ThoughtSwitchPenalty(11, 9, ("so",)),)
    ),
    "TIP: a phrase at its last token": Case(
        "Wait so</t>7", "Wait <so</t>7<eos>", 4, "natural", (ThoughtSwitchPenalty(11, 3, ("wait so",)),)
    ),
    # ThoughtBudget
    "no second thought": Case("a so a</t>7", "a \n</t>so a</t>7<eos>", 3, "forced", (ThoughtBudget(1, ("so",)),)),
    "a second thought but no third": Case(
        "so so a</t>7", "so \n</t>so a</t>7<eos>", 3, "forced", (ThoughtBudget(2, ("so",)),)
    ),
    "a Wait that is written is no thought": Case(
        "a\n</t>7",
        "a\nWait</t>7<eos>",
        3,
        "natural",
        (ThoughtBudget(1, ("wait",)), BudgetForcing(waits=1, final=None, answer_reserve=0)),
        waits=1,
    ),
    # SuppressExpressions
    "whole words are suppressed": Case("a so", "a <<<<", 6, "open", (SuppressExpressions(("so",)),), limit=6),
    "and parts of words are not": Case("aso</t>7", "aso</t>7<eos>", 2, "natural", (SuppressExpressions(("so",)),)),
    "a word that begins in the prompt": Case(
        " so a", " <so a<eos>", 5, "open", (SuppressExpressions(("a so",)),), prompt="Q<t>a"
    ),
    "a Wait that is written is not suppressed": Case(
        "a</t>7",
        "aWait</t>7<eos>",
        2,
        "natural",
        (SuppressExpressions(("wait",)), BudgetForcing(waits=1, final=None, answer_reserve=0)),
        waits=1,
    ),
    "a marker is no word": Case("a</t>7", "a</t>7<eos>", 1, "natural", (SuppressExpressions(("t",)), DraftLimit(1))),
    # DraftLimit
    "one word a step": Case("a a a\n7</t>7", "a \na \na\n7</t>7<eos>", 9, "natural", (DraftLimit(1),)),
    "a word of many tokens is one": Case("aso7a</t>7", "aso7a</t>7<eos>", 4, "natural", (DraftLimit(1),)),
    "one word a step, and a close that spells one": Case(
        "a</think>7", "a</think>7<eos>", 1, "natural", (DraftLimit(1),), prompt="Q<think>", markers=MANY
    ),
    "one word a step, softly": Case(
        "a a</t>7", "a\n a\n</t>7<eos>", 5, "natural", (DraftLimit(1, "soft", penalty=11),)
    ),
    # StepBudget
    "two steps": Case("a\na\na\na</t>7", "a\na\n</t>a\na</t>7<eos>", 4, "forced", (StepBudget(2, ("\n",)),)),
    "empty steps are none": Case("\n\na\na</t>7", "\n\na\n</t>a</t>7<eos>", 4, "forced", (StepBudget(1, ("\n",)),)),
    # LoopBreaker
    "a loop is ended": Case(40 * "a;", 16 * "a;" + "</t>a;a", 32, "forced", (LoopBreaker(2, 2, 4),), limit=36),
    # ConfidenceExit
    "sure by probability": Case(
        "a\na</t>7", "a\n</t>a</t>7<eos>", 2, "forced", (ConfidenceExit("probability", separators=("\n",)),)
    ),
    "not sure enough": Case(
        "a\na</t>7", "a\na</t>7<eos>", 3, "natural", (ConfidenceExit("probability", 1.0, separators=("\n",)),)
    ),
    "sure by the margin": Case(
        "a\na</t>7", "a\n</t>a</t>7<eos>", 2, "forced", (ConfidenceExit("margin", 11.0, separators=("\n",)),)
    ),
    "sure by entropy, at the second look": Case(
        "a\na\na</t>7", "a\na\n</t>a</t>7<eos>", 4, "forced", (ConfidenceExit("entropy", 0.1, 2, separators=("\n",)),)
    ),
    "sure by a trial": Case(
        "a\na</t>7", "a\n</t>a</t>7<eos>", 2, "forced", (ConfidenceExit("trial", separators=("\n",), trial="so"),)
    ),
    "not below the minimum: sure again at the next end": Case(
        "a\naaa\na</t>7",
        "a\naaa\n</t>a</t>7<eos>",
        6,
        "forced",
        (ConfidenceExit("margin", 11.0, separators=("\n",)), *_think(min_tokens=4)),
    ),
    # PhasedSpeed
    "slow: Wait is written": Case(
        "a\n</t>7",
        "a\nWait</t>7<eos>",
        3,
        "natural",
        (PhasedSpeed(slow_tokens=1000, separators=("\n",), answer_reserve=0),),
    ),
    "fast: Wait closes": Case(
        "a so a</t>7",
        "a \n</t>so a</t>7<eos>",
        3,
        "forced",
        (PhasedSpeed(slow_tokens=1, slow=("so",), answer_reserve=0),),
    ),
    "slow within the limit": Case(
        "a\naa</t>7",
        "a\na</t>a</t>7<eos>",
        3,
        "forced",
        (PhasedSpeed(3, slow_tokens=3, separators=("\n",), answer_reserve=0),),
    ),
    # spans that hold a close
    "a close waits for the end of a span": Case(
        "asoaa7aaa</t>7", "asoaa7</t>aaa</t>7<eos>", 5, "forced", _think(max_tokens=2, hold=4, spans=SPAN)
    ),
    "and not longer than is said": Case(
        "asoaaa7a</t>7", "asoaa</t>a7a</t>7<eos>", 4, "forced", _think(max_tokens=2, hold=2, spans=SPAN)
    ),
    "and not for a span that is over": Case(
        "so7aa</t>7", "so7</t>aa</t>7<eos>", 2, "forced", _think(max_tokens=2, hold=9, spans=SPAN)
    ),
    "a close waits for a span that the prompt opened": Case(
        "aaa7a</t>7",
        "aaa7</t>a</t>7<eos>",
        4,
        "forced",
        _think(max_tokens=2, hold=9, spans=SPAN),
        prompt="Q<t>so",
    ),
    "but not for one that it closed": Case(
        "aaa</t>7", "aa</t>a</t>7<eos>", 2, "forced", _think(max_tokens=2, hold=9, spans=SPAN), prompt="Q<t>so7"
    ),
    "nor for one before the thinking": Case(
        "aaa</t>7", "aa</t>a</t>7<eos>", 2, "forced", _think(max_tokens=2, hold=9, spans=SPAN), prompt="so<t>"
    ),
    "a span does not hold the room for the answer": Case(
        "asoaaaaaaaaa</t>7",
        "asoaaaa</t>aaa",
        6,
        "forced",
        (ThinkBudget(4, answer_reserve=3, hold=9, spans=SPAN),),
        limit=10,
    ),
    "nor does it hold what the model closes": Case(
        "soaa</t>7", "soaa</t>7<eos>", 3, "natural", _think(max_tokens=2, hold=9, spans=SPAN)
    ),
    "a character is not cut where a span is": Case(
        "so漢1漢2漢3a</t>7", "so漢1漢2漢3</t>a</t>7<eos>", 4, "forced", _think(max_tokens=1, hold=1, spans=SPAN)
    ),
    "a half-written marker inside a span is text": Case(
        "aso<a7a</think>7",
        "aso<a7</think>a</think>7<eos>",
        5,
        "forced",
        _think(max_tokens=3, hold=9, spans=SPAN),
        prompt="Q<think>",
        markers=MANY,
    ),
    "a span holds the closes of other controls": Case(
        "aso\na7\naa</t>7",
        "aso\na7\n</t>aa</t>7<eos>",
        6,
        "forced",
        (StepBudget(1, ("\n",)), *_think(max_tokens=99, hold=9, spans=SPAN)),
    ),
    "fenced code, whose line break the prompt holds": Case(
        ";;aa\n;;a</t>7",
        ";;aa\n;;</t>a</t>7<eos>",
        7,
        "forced",
        _think(max_tokens=3, hold=9, spans=(("\n;;", "\n;;"),)),
        prompt="Q<t>\n",
    ),
    # StructuredAnswer
    "the answer is one of these": Case(
        "aa</t>a7", "aa</t>so<eos>", 2, "natural", (StructuredAnswer(choices=("7", "so")),)
    ),
    "and after a forced close too": Case(
        "aa77", "aa</t>so77<eos>", 2, "forced", (StructuredAnswer(regex="77"), *_force(max_tokens=2))
    ),
    "and where there is no thinking": Case("7a", "7<eos>", 0, "none", (StructuredAnswer(choices=("7",)),), prompt="Q"),
    "a model may still open thinking": Case(
        "<t>aa</t>a7", "<t>aa</t>so<eos>", 2, "natural", (StructuredAnswer(choices=("7", "so")),), prompt="Q"
    ),
    # whatever closes thinking: the end of the sequence inside it closes too, and an answer follows
    "the end of the sequence closes: StepBudget": Case("aa", "aa</t><eos>", 2, "eos", (StepBudget(9, ("\n",)),)),
    "the end of the sequence closes: LoopBreaker": Case("aa", "aa</t><eos>", 2, "eos", (LoopBreaker(),)),
    "the end of the sequence closes: ThoughtBudget": Case("aa", "aa</t><eos>", 2, "eos", (ThoughtBudget(3, ("so",)),)),
    "the end of the sequence closes: ConfidenceExit": Case(
        "aa", "aa</t><eos>", 2, "eos", (ConfidenceExit("margin", separators=("\n",)),)
    ),
    "the end of the sequence closes: a gate": Case("aa", "aa</t><eos>", 2, "eos", (after(9, LoopBreaker()),)),
    "the end of the sequence closes, written in many tokens": Case(
        "aa", "aa</think><eos>", 2, "eos", (StepBudget(9, ("\n",)),), prompt="Q<think>", markers=MANY
    ),
    "and is the end where nothing closes": Case("aa", "aa<eos>", 2, "open", (SuppressExpressions(("so",)),)),
    "sure by the margin, of a close of many tokens": Case(
        "a\na</think>7",
        "a\n</think>a</think>7<eos>",
        2,
        "forced",
        (ConfidenceExit("margin", 11.0, separators=("\n",)),),
        prompt="Q<think>",
        markers=MANY,
    ),
    # gates
    "suppressed in the answer only": Case(
        "a so</t>7", "a so</t>7<eos>", 3, "natural", (during("answer", SuppressExpressions(("so",))),)
    ),
    "a step that ended before the gate opened: the close waits for the end of the next": Case(
        "a\naaaa\na</t>7", "a\naaaa\n</t>a</t>7<eos>", 7, "forced", (after(4, StepBudget(1, ("\n",))),)
    ),
    "and so it does below a minimum": Case(
        "a\naaaa\na</t>7",
        "a\naaaa\n</t>a</t>7<eos>",
        7,
        "forced",
        (StepBudget(1, ("\n",)), *_think(min_tokens=4)),
    ),
    "thoughts before the gate opened: the close waits for the next": Case(
        "so so a so a</t>7",
        "so so a \n</t>so a</t>7<eos>",
        7,
        "forced",
        (after(4, ThoughtBudget(1, ("so",))),),
    ),
    "suppressed from the fourth token on": Case(
        "so so so", "so so <", 5, "open", (after(3, SuppressExpressions(("so",))),), limit=5
    ),
}
