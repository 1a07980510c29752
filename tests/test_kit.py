"""The kit finds what is wrong with a control of somebody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from support.strange import Strange, registered

from thinkpace import Control, controls_from_text
from thinkpace.processors import (
    CONTROLS,
    KEEP,
    Binding,
    Decision,
    Processor,
    RowStatistic,
    Track,
    compile_program,
    redirect,
)
from thinkpace.testing import MARKERS, VOCABULARY, Case, check_control
from thinkpace.testing.laws import declarations_hold, text_and_back


class Moving(Processor[None]):
    def init(self, track: Track) -> None:
        return None

    def decide(self, state: None, track: Track) -> Decision:
        return redirect(frozenset({6}), 5)


class Asking(Moving):
    def wants(self, state: None, track: Track) -> frozenset[RowStatistic]:
        return frozenset({RowStatistic("entropy")})

    def decide(self, state: None, track: Track) -> Decision:
        return KEEP


@dataclass(frozen=True, slots=True, repr=False)
class Undeclared(Control):
    """Says nothing of what it does."""

    machine: str = "moving"

    def compile(self, binding: Binding) -> Processor[Any]:
        machines: dict[str, Any] = {"moving": Moving(), "asking": Asking(), "none": 5}
        machine: Processor[Any] = machines[self.machine]
        return machine


@pytest.mark.parametrize(
    ("machine", "message"),
    [("moving", "moves_probability must be True"), ("asking", "its property statistics must hold them")],
)
def test_what_is_not_declared_is_found(machine: str, message: str) -> None:
    """Engines ask for the temperature, and compute statistics, by what a control declares."""
    control = Undeclared(machine)
    program = compile_program((control,), VOCABULARY, MARKERS[0])
    with pytest.raises(AssertionError, match=message):
        declarations_hold(control, program, VOCABULARY.encode("Q<t>"), [(6, 0), (6, 1)])


def test_a_control_that_no_package_registers() -> None:
    with pytest.raises(ValueError, match=r"cannot be kept .*entry point"):
        check_control(Undeclared())


def test_fields_that_are_no_text_are_named_as_the_fault() -> None:
    with registered(), pytest.raises(ValueError, match="its fields must be text, numbers or tuples"):
        text_and_back(Strange(b"3"))  # type: ignore[arg-type]  # the mistake


def test_numbers_that_no_text_holds() -> None:
    with registered(), pytest.raises(ValueError, match="cannot be kept and sent as text"):
        text_and_back(Strange(float("inf")))  # type: ignore[arg-type]  # the mistake


def test_what_is_no_processor_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Undeclared.compile must return a Processor, got 5"):
        compile_program((Undeclared("none"),), VOCABULARY, MARKERS[0])


def test_a_registered_control_passes() -> None:
    with registered():
        checked = check_control(Strange(2), Case("aaa</t>7", "aa</t>a</t>7<eos>", 2, "forced"), streams=9)
    assert checked.cases == 1
    assert "scripted" in checked.engines
    assert any("no form for devices" in reason or "torch" in reason for reason in checked.skipped)


def test_ours_pass() -> None:
    for text in ("ThoughtBudget(2, ('wait',))", "ConfidenceExit('margin', separators=(';',))", "LoopBreaker(2, 2, 4)"):
        [control] = controls_from_text(text)
        check_control(control, streams=6)
    assert len(CONTROLS) == 13


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (("b</t>7", "b</t>7<eos>", 1, "natural"), "says='b</t>7' is not made of the words of VOCABULARY: '<'"),
        (("a</t>7", "a</t>7<eos>", 1, "Natural"), "end must be one of natural, forced, eos, open, none, got 'Natural'"),
    ],
)
def test_bad_cases(case: tuple[str, str, int, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Case(*case)
