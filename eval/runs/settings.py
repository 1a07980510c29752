"""Settings: what a sweep varies at decoding time, as lists of controls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from thinkpace.processors.budgeting.budget import Budget
from thinkpace.processors.controls.budget_forcing import BudgetForcing
from thinkpace.processors.core.control import Control

NO_CONTROL = "no control"
VARIED = ("max_tokens", "waits")  # along a line


@dataclass(frozen=True, slots=True)
class Setting:
    """One list of controls.

    Args:
        controls: what holds for its samples, in order.
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
        """Thinking tokens at most; None for no limit."""
        return None if self.budget is None else self.budget.max_tokens

    @property
    def min_tokens(self) -> int:
        """Thinking tokens at least."""
        return getattr(self.budget, "min_tokens", 0) or 0

    @property
    def waits(self) -> int:
        """Extensions asked for."""
        return self.budget.waits if isinstance(self.budget, BudgetForcing) else 0

    @property
    def final(self) -> str | None:
        """What is written after a forced close."""
        return self.budget.final if isinstance(self.budget, BudgetForcing) else None

    @property
    def kind(self) -> str:
        """What kinds of controls they are."""
        return "+".join(type(control).__name__ for control in self.controls) or "none"

    @property
    def is_forcing(self) -> bool:
        """Whether it is budget forcing and nothing else: its budget and waits say all there is to say."""
        return self.kind == "BudgetForcing"

    @property
    def line(self) -> str:
        """The controls as they print, without the limit and the waits of the one that decides the end."""
        parts = [repr(control) for control in self.others]
        if self.budget is not None:
            kept = [(f.name, getattr(self.budget, f.name)) for f in fields(self.budget) if f.name not in VARIED]
            told = [f"{name}={value!r}" for name, value in kept if value != _default(self.budget, name)]
            parts.append(f"{type(self.budget).__name__}({', '.join(told)})")
        return " + ".join(parts) or NO_CONTROL

    @property
    def name(self) -> str:
        """The controls as they print: unique within a sweep."""
        return " + ".join(map(repr, self.controls)) or NO_CONTROL


def _default(control: Control, name: str) -> Any:
    return next(field.default for field in fields(control) if field.name == name)  # type: ignore[arg-type]  # a dataclass


def grid(budgets: Iterable[int | None], waits: Iterable[int], **fixed: Any) -> tuple[Setting, ...]:
    """Every budget with every number of waits, as budget forcing; `fixed` are its other fields.

    >>> [s.name for s in grid([64, None], [0])]
    ['BudgetForcing(max_tokens=64)', 'BudgetForcing()']
    """
    return tuple(Setting((BudgetForcing(max_tokens=b, waits=w, **fixed),)) for b in budgets for w in waits)


def with_controls(settings: Iterable[Setting], chains: Iterable[tuple[Control, ...]]) -> tuple[Setting, ...]:
    """The settings, and then every chain of controls beside each of them; a chain with a budget of its own alone."""
    settings = tuple(settings)
    out = list(settings)
    for controls in chains:
        if any(control.decides_end for control in controls):
            out.append(Setting(controls))
        else:
            out += [Setting((*controls, *setting.controls)) for setting in settings]
    return tuple(out)


def baseline(setting: Setting, settings: Sequence[Setting]) -> Setting | None:
    """What a setting is compared with, among those that were run.

    The same budget without its other controls, else no control at all, else budget forcing without limit and waits;
    None if there is none of these beside the setting itself.
    """
    alone = (setting.budget,) if setting.budget is not None else ()
    free = [o for o in settings if o.is_forcing and o.max_tokens is None and not o.waits]
    wanted = [alone, (), *(other.controls for other in free)]
    for controls in wanted:
        found = next((other for other in settings if other.controls == controls), None)
        if found is not None and found != setting:
            return found
    return None
