"""What was asked for, and could it act? By control: the same right values for every engine and way of calling."""

from __future__ import annotations

from thinkpace import (
    BudgetForcing,
    ConfidenceExit,
    Control,
    DraftLimit,
    LoopBreaker,
    PhasedSpeed,
    Receipt,
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

#: controls that act on thinking only: where none is opened they have nothing to act on
ON_THINKING = {
    "ThinkBudget",
    "BudgetForcing",
    "PhasedSpeed",
    "ThoughtSwitchPenalty",
    "ThoughtBudget",
    "StepBudget",
    "ConfidenceExit",
    "DraftLimit",
    "LoopBreaker",
    "After",  # of a LoopBreaker
}
#: one control of every kind, for the small vocabulary
EXAMPLES: dict[str, Control] = {
    "ThinkBudget": ThinkBudget(20, answer_reserve=0),
    "BudgetForcing": BudgetForcing(20, waits=1, final="so", answer_reserve=0),
    "PhasedSpeed": PhasedSpeed(20, slow_tokens=10, separators=("\n",), answer_reserve=0),
    "ThoughtSwitchPenalty": ThoughtSwitchPenalty(3, 3, ("so",)),
    "ThoughtBudget": ThoughtBudget(3, ("so",)),
    "StepBudget": StepBudget(9, ("\n",)),
    "ConfidenceExit": ConfidenceExit("margin", separators=("\n",)),
    "DraftLimit": DraftLimit(9),
    "SuppressExpressions": SuppressExpressions(("so",)),
    "LoopBreaker": LoopBreaker(),
    "StructuredAnswer": StructuredAnswer(regex="a*7"),
    "During": during("answer", SuppressExpressions(("so",))),
    "After": after(30, LoopBreaker()),
}
#: by what the model does: the case, and what the note says of a control on thinking
SITUATIONS: dict[str, tuple[Case, str]] = {
    "thinking is opened": (Case("aa</t>7", "", 0, "natural"), ""),
    "it never is": (Case("aa7", "", 0, "none", prompt="Q"), "had nothing to act on"),
    "it is closed without having been opened": (
        Case("aa</t>7", "", 0, "none", prompt="Q"),
        "the closing marker came though thinking had not been opened",
    ),
}


def check(control: Control, situation: str, receipt: Receipt) -> None:
    """Check the notes of a receipt.

    Raises:
        AssertionError: if the receipt says something else.
    """
    _, wanted = SITUATIONS[situation]
    notes = "; ".join(receipt.notes)
    if not wanted:
        assert (receipt.held, notes) == ("held", "")
    elif type(control).__name__ in ON_THINKING:
        assert receipt.held == "not held"
        assert wanted in notes
        assert f"{control!r} had nothing to act on" in notes
    else:
        assert "had nothing to act on" not in notes
        # a structured answer holds no marker
        assert (wanted in notes) == ("closing marker" in wanted and not control.rules_answer)
