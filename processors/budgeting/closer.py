"""The base class of the controls that close thinking without being a budget."""

from __future__ import annotations

from typing import Any

from thinkpace.processors.budgeting.limits import Limits
from thinkpace.processors.budgeting.machine import BudgetMachine
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.closing import ClosingSequence
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.processor import Processor


class Closer(Control):
    """Base class of controls whose processor may decide `Close`, and that are no budgets.

    Where one of them is used without a budget, the end of the sequence inside thinking becomes a close, as it does
    with a budget: an answer follows.
    """

    __slots__ = ()

    def ending(self, binding: Binding) -> Processor[Any]:
        limits = Limits(
            max_tokens=None,
            min_tokens=0,
            waits=0,
            wait=(),
            final_always=False,
            max_new_tokens=binding.max_new_tokens,
            answer_reserve=None,
            landing=0,
            landing_boost=0.0,
            held=False,
        )
        return BudgetMachine(limits, ClosingSequence(binding), binding)
