"""Settings: what a sweep varies at decoding time, as lists of controls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from thinkpace.processors.budgeting.budget import Budget
from thinkpace.processors.controls.budget_forcing import BudgetForcing
from thinkpace.processors.core.control import Control

NO_CONTROL = "no control"
VARIED = ("max_tokens", "waits")  # fields that vary along a line of the plot


@dataclass(frozen=True, slots=True)
class Setting:
    """One list of controls.

    Args:
        controls: applied to its samples, in this order.
    """

    controls: tuple[Control, ...]

    @property
    def budget(self) -> Budget | None:
        """The control that decides when thinking ends."""
        return next((control for control in self.controls if isinstance(control, Budget)), None)

    @property
    def others(self) -> tuple[Control, ...]:
        """All other controls."""
        return tuple(control for control in self.controls if not isinstance(control, Budget))

    @property
    def max_tokens(self) -> int | None:
        """Maximum thinking tokens; None for no limit."""
        return None if self.budget is None else self.budget.max_tokens

    @property
    def min_tokens(self) -> int:
        """Minimum thinking tokens."""
        return getattr(self.budget, "min_tokens", 0) or 0

    @property
    def waits(self) -> int:
        """Number of waits requested."""
        return self.budget.waits if isinstance(self.budget, BudgetForcing) else 0

    @property
    def final(self) -> str | None:
        """Text written after a forced close; None without one."""
        return self.budget.final if isinstance(self.budget, BudgetForcing) else None

    @property
    def kind(self) -> str:
        """Class names of the controls, joined by +; "none" without controls."""
        return "+".join(type(control).__name__ for control in self.controls) or "none"

    @property
    def is_forcing(self) -> bool:
        """Whether budget forcing is the only control, so that budget and waits describe the setting."""
        return self.kind == "BudgetForcing"

    @property
    def line(self) -> str:
        """The `repr` of the controls without the budget's limit and waits: the same all along a line of the plot."""
        parts = [repr(control) for control in self.others]
        if self.budget is not None:
            values = [(f.name, getattr(self.budget, f.name)) for f in fields(self.budget) if f.name not in VARIED]
            arguments = [f"{name}={value!r}" for name, value in values if value != _default(self.budget, name)]
            parts.append(f"{type(self.budget).__name__}({', '.join(arguments)})")
        return " + ".join(parts) or NO_CONTROL

    @property
    def name(self) -> str:
        """The `repr` of the controls, joined by +; unique within a sweep."""
        return " + ".join(map(repr, self.controls)) or NO_CONTROL


def _default(control: Control, name: str) -> Any:
    return next(field.default for field in fields(control) if field.name == name)  # type: ignore[arg-type]  # a dataclass


def grid(budgets: Iterable[int | None], waits: Iterable[int], **fixed: Any) -> tuple[Setting, ...]:
    """Budget forcing with every budget and every number of waits; `fixed` sets its other fields.

    >>> [s.name for s in grid([64, None], [0])]
    ['BudgetForcing(max_tokens=64)', 'BudgetForcing()']
    """
    return tuple(Setting((BudgetForcing(max_tokens=b, waits=w, **fixed),)) for b in budgets for w in waits)


def with_controls(settings: Iterable[Setting], chains: Iterable[tuple[Control, ...]]) -> tuple[Setting, ...]:
    """The settings, then each chain combined with every setting; a chain that decides the end stays alone."""
    settings = tuple(settings)
    out = list(settings)
    for controls in chains:
        if any(control.decides_end for control in controls):
            out.append(Setting(controls))
        else:
            out += [Setting((*controls, *setting.controls)) for setting in settings]
    return tuple(out)


def baseline(setting: Setting, settings: Sequence[Setting]) -> Setting | None:
    """The setting that a setting is compared with, among those that were run.

    The first of these that was run: the same budget without the other controls; no control; budget forcing without
    limit and waits. None if none of them was run, apart from the setting itself.
    """
    alone = (setting.budget,) if setting.budget is not None else ()
    free = [o for o in settings if o.is_forcing and o.max_tokens is None and not o.waits]
    wanted = [alone, (), *(other.controls for other in free)]
    for controls in wanted:
        match = next((other for other in settings if other.controls == controls), None)
        if match is not None and match != setting:
            return match
    return None
