"""The device form of every processor: a table for ours; processors of other packages name theirs in `device_form`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from thinkpace.adapters.device.chain import DeviceChain
from thinkpace.adapters.device.controls.budget import DeviceBudget
from thinkpace.adapters.device.controls.confidence_exit import DeviceConfidenceExit
from thinkpace.adapters.device.controls.draft_limit import DeviceDraftLimit
from thinkpace.adapters.device.controls.gates import DeviceGate
from thinkpace.adapters.device.controls.guard import DeviceGuard
from thinkpace.adapters.device.controls.loop_breaker import DeviceLoopBreaker
from thinkpace.adapters.device.controls.phased_speed import DevicePhasedSpeed
from thinkpace.adapters.device.controls.spans import DeviceSpans
from thinkpace.adapters.device.controls.step_budget import DeviceStepBudget
from thinkpace.adapters.device.controls.structured_answer import DeviceStructuredAnswer
from thinkpace.adapters.device.controls.suppress_expressions import DeviceSuppressExpressions
from thinkpace.adapters.device.controls.thought_budget import DeviceThoughtBudget
from thinkpace.adapters.device.controls.thought_switch_penalty import DeviceThoughtSwitchPenalty
from thinkpace.adapters.device.machine import DeviceMachine, Tables
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.budgeting.guard import Guard
from thinkpace.processors.budgeting.machine import BudgetMachine
from thinkpace.processors.budgeting.spans import Spans
from thinkpace.processors.controls.confidence_exit import ConfidenceExitMachine
from thinkpace.processors.controls.draft_limit import DraftLimitMachine
from thinkpace.processors.controls.gates import Gate
from thinkpace.processors.controls.loop_breaker import LoopBreakerMachine
from thinkpace.processors.controls.phased_speed import PhasedSpeedMachine
from thinkpace.processors.controls.step_budget import StepBudgetMachine
from thinkpace.processors.controls.structured_answer import StructuredAnswerMachine
from thinkpace.processors.controls.suppress_expressions import SuppressExpressionsMachine
from thinkpace.processors.controls.thought_budget import ThoughtBudgetMachine
from thinkpace.processors.controls.thought_switch_penalty import ThoughtSwitchPenaltyMachine
from thinkpace.processors.core.chain import Chain
from thinkpace.processors.core.processor import Processor


def device_form(processor: Processor[Any], tables: Tables) -> DeviceMachine:
    """The device form of a processor.

    Raises:
        UnsupportedControl: if it has none.
    """
    match processor:
        case Chain():
            return DeviceChain([device_form(part, tables) for part in processor.parts])
        case Gate():
            return DeviceGate(processor, device_form(processor.inner, tables))
        case ConfidenceExitMachine() if processor.kind == "trial":
            raise UnsupportedControl("a trial answer is a fork, which no device form has: use another rule")
    form = _FORMS.get(type(processor)) or _named(processor)
    machine: DeviceMachine = form(processor, tables)
    return machine


def _named(processor: Processor[Any]) -> Any:
    """The device form named by a processor of another package."""
    name = type(processor).__name__
    if processor.device_form is None:
        raise UnsupportedControl(
            f"{name} has no form for devices: use an engine that runs controls on the host (on vLLM: start it with "
            "VLLM_USE_V2_MODEL_RUNNER=0), or give it one (docs/extending.md)"
        )
    module, _, form = processor.device_form.partition(":")
    try:
        return getattr(importlib.import_module(module), form)
    except (ImportError, AttributeError) as error:
        raise UnsupportedControl(
            f"the device form {processor.device_form!r} of {name} cannot be loaded: {error}"
        ) from error


_FORMS: Mapping[type, Any] = {
    ConfidenceExitMachine: DeviceConfidenceExit,
    DraftLimitMachine: DeviceDraftLimit,
    BudgetMachine: DeviceBudget,
    Guard: DeviceGuard,
    LoopBreakerMachine: DeviceLoopBreaker,
    ThoughtSwitchPenaltyMachine: DeviceThoughtSwitchPenalty,
    PhasedSpeedMachine: DevicePhasedSpeed,
    Spans: DeviceSpans,
    StepBudgetMachine: DeviceStepBudget,
    StructuredAnswerMachine: DeviceStructuredAnswer,
    SuppressExpressionsMachine: DeviceSuppressExpressions,
    ThoughtBudgetMachine: DeviceThoughtBudget,
}
