"""The device form of every processor: ours by a table, those of other packages by what they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thinkpace.adapters.device.chain import TensorChain
from thinkpace.adapters.device.controls.budget import TensorEnding
from thinkpace.adapters.device.controls.confidence_exit import TensorConfidence
from thinkpace.adapters.device.controls.draft_limit import TensorDrafts
from thinkpace.adapters.device.controls.gates import TensorGate
from thinkpace.adapters.device.controls.guard import TensorGuard
from thinkpace.adapters.device.controls.loop_breaker import TensorLoops
from thinkpace.adapters.device.controls.phased_speed import TensorSpeed
from thinkpace.adapters.device.controls.step_budget import TensorSteps
from thinkpace.adapters.device.controls.structured_answer import TensorStructure
from thinkpace.adapters.device.controls.suppress_expressions import TensorSuppression
from thinkpace.adapters.device.controls.thought_budget import TensorThoughts
from thinkpace.adapters.device.controls.thought_switch_penalty import TensorPenalty
from thinkpace.adapters.device.machine import Book, Machine
from thinkpace.errors import UnsupportedControl
from thinkpace.processors.budgeting.guard import Guard
from thinkpace.processors.budgeting.machine import Ending
from thinkpace.processors.controls.confidence_exit import Confidence
from thinkpace.processors.controls.draft_limit import Drafts
from thinkpace.processors.controls.gates import Gate
from thinkpace.processors.controls.loop_breaker import Loops
from thinkpace.processors.controls.phased_speed import Speed
from thinkpace.processors.controls.step_budget import Steps
from thinkpace.processors.controls.structured_answer import Structure
from thinkpace.processors.controls.suppress_expressions import Suppression
from thinkpace.processors.controls.thought_budget import Thoughts
from thinkpace.processors.controls.thought_switch_penalty import Penalty
from thinkpace.processors.core.chain import Chain
from thinkpace.processors.core.processor import Processor


def machine(processor: Processor[Any], book: Book) -> Machine:
    """The tensor form of a processor.

    Raises:
        UnsupportedControl: if it has none.
    """
    match processor:
        case Chain():
            return TensorChain([machine(part, book) for part in processor.parts])
        case Gate():
            return TensorGate(processor, machine(processor.inner, book))
        case Confidence() if processor.kind == "trial":
            raise UnsupportedControl("a trial answer is a fork, which no device form has: use another rule")
    form = _FORMS.get(type(processor))
    if form is None:
        raise UnsupportedControl(f"{type(processor).__name__} has no form for devices")
    made: Machine = form(processor, book)
    return made


_FORMS: Mapping[type, Any] = {
    Confidence: TensorConfidence,
    Drafts: TensorDrafts,
    Ending: TensorEnding,
    Guard: TensorGuard,
    Loops: TensorLoops,
    Penalty: TensorPenalty,
    Speed: TensorSpeed,
    Steps: TensorSteps,
    Structure: TensorStructure,
    Suppression: TensorSuppression,
    Thoughts: TensorThoughts,
}
