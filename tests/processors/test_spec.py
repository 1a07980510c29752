"""Controls as text, JSON and TOML, and what is said when they cannot be read."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

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
    UnsupportedControl,
    after,
    control_from_json,
    controls_from_text,
    controls_from_toml,
    during,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("LoopBreaker", (LoopBreaker(),)),
        ("ThinkBudget(512)", (ThinkBudget(512),)),
        ("think-budget(max_tokens=512)", (ThinkBudget(512),)),
        ("think_budget(-1)", (ThinkBudget(),)),
        ("THINKBUDGET(None)", (ThinkBudget(),)),
        ("ThinkBudget(reasoning_budget=8) + LoopBreaker()", (ThinkBudget(8), LoopBreaker())),
        ("BudgetForcing(wait='Hold-on + (so)')", (BudgetForcing(wait="Hold-on + (so)"),)),
        ("during('answer', SuppressExpressions(('wait',)))", (during("answer", SuppressExpressions(("wait",))),)),
        ("after(3, after(4, LoopBreaker))", (after(3, after(4, LoopBreaker())),)),
        ("SuppressExpressions('wait')", (SuppressExpressions(("wait",)),)),
        ("LoopBreaker\n+ StepBudget(3)", (LoopBreaker(), StepBudget(3))),
        (r"SuppressExpressions(('\\', 'double-check'))", (SuppressExpressions(("\\", "double-check")),)),
    ],
)
def test_short_text(text: str, expected: tuple[Control, ...]) -> None:
    assert controls_from_text(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Think(5)", "unknown control 'Think'; known are ThinkBudget"),
        ("ThinkBudget(5", "no list of controls"),
        ("ThinkBudget(5) LoopBreaker", "no list of controls"),
        ("ThinkBudget(tokens=5)", "ThinkBudget has no field 'tokens'; its fields are max_tokens"),
        ("ThinkBudget(5, max_tokens=5)", "multiple values"),
        ("ThinkBudget(1, 2, 3, 4, 5)", "positional arguments"),
        ("ThoughtBudget", "missing 1 required positional argument"),
        ("ThinkBudget(**{'a': 1})", "fields need a name"),
        ("5", "is no control"),
        ("ThinkBudget(5) - LoopBreaker()", "is no control"),
        ("ThinkBudget(__import__('os'))", "is no control|unknown control"),
        ("ThinkBudget(open('/etc/passwd').read())", "is no control"),
        ("(" * 500, "no list of controls"),
    ],
)
def test_what_is_no_text_of_controls(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        controls_from_text(text)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"max_tokens": 5}, "unknown control None"),
        ({"control": "Nothing"}, "unknown control 'Nothing'"),
        ({"control": "ThinkBudget", "max": 5}, "has no field 'max'"),
        ([], "expected an object"),
    ],
)
def test_what_is_no_json_of_a_control(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        control_from_json(data)


def test_toml() -> None:
    text = """
    [[controls]]
    control = "ThoughtSwitchPenalty"
    alpha = 5.0
    expressions = ["alternatively"]

    [[controls]]
    control = "During"
    phase = "answer"
    inner = { control = "SuppressExpressions", expressions = ["wait"] }
    """
    assert controls_from_toml(text) == (
        ThoughtSwitchPenalty(5.0, expressions=("alternatively",)),
        during("answer", SuppressExpressions(("wait",))),
    )
    for wrong, message in (
        ("[", "no TOML"),
        ("a = 1", "no \\[\\[controls\\]\\]"),
        ("controls = 1", "no \\[\\[controls"),
    ):
        with pytest.raises(ValueError, match=message):
            controls_from_toml(wrong)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ThinkBudget(5, reasoning_budget=5), "max_tokens and reasoning_budget are names of the same number"),
        (lambda: ThinkBudget(budget_tokens=5, effort="low"), "effort and budget_tokens are names of the same number"),
        (lambda: ThinkBudget(effort="huge"), "effort must be one of minimal, low, medium, high"),
        (lambda: ThinkBudget(thinking_budget=2.5), "thinking_budget must be a whole number"),  # type: ignore[arg-type]
        (lambda: ThinkBudget(10, landing=11), "landing=11 is more than max_tokens=10"),
        (lambda: ThinkBudget(10, 6, landing=5), "min_tokens=6 and landing=5 is more than max_tokens=10"),
        (lambda: ThinkBudget(10, landing_boost=float("nan")), "landing_boost must be between 0"),
        (lambda: ThinkBudget(context_share=0.0), "context_share must be more than 0"),
        (lambda: ThinkBudget(context_share=1.5), "context_share must be between 0 and 1"),
        (lambda: ThinkBudget(guard=True), "guard must be a whole number"),
        (lambda: ThinkBudget(9, hold=-1), "hold must be >= 0"),
        (lambda: ThinkBudget(9, hold=9, spans="<a>"), "spans must be pairs of texts"),  # type: ignore[arg-type]  # refused
        (lambda: ThinkBudget(9, hold=9, spans=(("<a>",),)), "the two texts that begin and end it"),  # type: ignore[arg-type]  # refused
        (lambda: ThinkBudget(9, hold=9, spans=(("<a>", ""),)), "spans must not be empty"),
        (lambda: ThinkBudget(message=""), "message must not be empty"),
        (lambda: ThoughtSwitchPenalty(alpha=-1), "alpha must be between 0"),
        (lambda: ThoughtSwitchPenalty(beta=-1), "beta must be >= 0"),
        (lambda: ThoughtSwitchPenalty(expressions=()), "expressions must hold at least one text"),
        (lambda: ThoughtSwitchPenalty(expressions=("a", "")), "expressions must not hold an empty text"),
        (lambda: ThoughtSwitchPenalty(expressions=(1,)), "expressions must be texts, got 1"),  # type: ignore[arg-type]
        (lambda: ThoughtSwitchPenalty(multi_token="middle"), "multi_token must be one of last, first"),
        (lambda: ThoughtBudget(0), "max_thoughts must be >= 1"),
        (lambda: StepBudget(0), "max_steps must be >= 1"),
        (lambda: SuppressExpressions(3), "expressions must be texts, as a list or tuple, got 3"),  # type: ignore[arg-type]
        (lambda: DraftLimit(0), "words_per_step must be >= 1"),
        (lambda: DraftLimit(5, "firm"), "form must be one of hard, soft"),
        (lambda: ConfidenceExit("luck"), "rule must be one of probability, entropy, margin, trial"),
        (lambda: ConfidenceExit("entropy"), "needs a threshold: none was published as a default"),
        (lambda: ConfidenceExit("trial", 1.5), "threshold must be between 0 and 1"),
        (lambda: LoopBreaker(1), "repeats must be >= 2"),
        (lambda: PhasedSpeed(10, slow_tokens=11), "slow_tokens=11 is more than max_tokens=10"),
        (lambda: PhasedSpeed(wait_probability=0.0), "wait_probability must be between"),
        (lambda: StructuredAnswer(), "give one of regex, json_schema and choices, got none"),
        (lambda: StructuredAnswer("a", choices=("b",)), "got regex and choices"),
        (lambda: StructuredAnswer(json_schema="{"), "json_schema is no JSON"),
        (
            lambda: StructuredAnswer(json_schema={"type": "array", "uniqueItems": True}),
            "uses 'uniqueItems' of type 'array'",
        ),
        (
            lambda: StructuredAnswer(json_schema='{"properties": {"a": {"items": {"format": "ipv4"}}}}'),
            "'format' without a type",
        ),
        (lambda: during("answer", LoopBreaker()), "acts on the thinking only"),
        (lambda: during("thinking", StructuredAnswer("a")), "acts on the answer only"),
        (lambda: Markers(1, 2), "open must be a text"),  # type: ignore[arg-type]
        (lambda: SuppressExpressions({"wait"}), "as a list or tuple"),  # type: ignore[arg-type]
        (lambda: SuppressExpressions(("\ud800",)), "expressions holds half a character"),
        (lambda: ThinkBudget(message="\ud800"), "message holds half a character"),
        (lambda: ThinkBudget(effort=["low"]), "effort must be one of"),  # type: ignore[arg-type]
        (lambda: ThoughtSwitchPenalty(alpha=10**400), "alpha must be between"),
        (lambda: ConfidenceExit("trial", trial=("a",)), "trial must be a text"),  # type: ignore[arg-type]
        (lambda: PhasedSpeed(wait=None), "wait must be a text"),  # type: ignore[arg-type]
        (lambda: after(3, StructuredAnswer("a")), "about the whole answer"),
        (lambda: during("closing", SuppressExpressions()), "phase must be one of thinking, answer"),
        (lambda: during("answer", ThinkBudget(5)), "decides when thinking ends and must always act"),
        (lambda: after(-1, LoopBreaker()), "tokens must be >= 0"),
        (lambda: after(1, "LoopBreaker"), "a gate needs a control"),  # type: ignore[arg-type]
    ],
)
def test_bad_input_is_refused_when_the_object_is_built(build: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError, UnsupportedControl), match=message):
        build()


def test_all_names_of_one_number() -> None:
    names = ("thinking_token_budget", "thinking_budget", "reasoning_budget", "max_thinking_tokens", "budget_tokens")
    for kind in (ThinkBudget, BudgetForcing):
        for name in names:
            fields: Any = {name: 7}
            assert kind(**fields) == kind(7)
        assert kind(effort="medium") == kind(4096)
        assert kind(reasoning_budget=-1).max_tokens is None
        assert dataclasses.replace(kind(512), max_tokens=64, min_tokens=5) == kind(64, 5)
