"""Look up control classes by name: ours, and those that installed packages register.

A package registers a control with an entry point of the group `thinkpace.controls`, named like the class:

    [project.entry-points."thinkpace.controls"]
    QuestionLimit = "my_package.controls:QuestionLimit"

Entry points are read when a name is first looked up, and loaded one at a time: a package that cannot be imported
breaks only its own control.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from thinkpace.errors import suggestion
from thinkpace.processors.controls import CONTROLS
from thinkpace.processors.core.control import Control

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "thinkpace.controls"


def folded(name: str) -> str:
    """A name in the form in which names are compared: lower case, without `-` and `_`."""
    return name.lower().replace("_", "").replace("-", "")


_OURS = {folded(kind.__name__): kind for kind in CONTROLS}


@cache
def _announced() -> dict[str, list[EntryPoint]]:
    """The entry points of other packages, by folded name."""
    from importlib.metadata import entry_points  # slower to import than all of thinkpace

    by_name: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        if point not in by_name.setdefault(folded(point.name), []):  # a distribution may be listed twice on the path
            by_name[folded(point.name)].append(point)
    return by_name


class UnknownControl(ValueError):
    """No control has this name here; it may be one of a package that is not installed."""


def names() -> tuple[str, ...]:
    """The names of all control classes, ours first."""
    ours = [kind.__name__ for kind in CONTROLS]
    return (*ours, *sorted(points[0].name for key, points in _announced().items() if key not in _OURS))


def kind_of(name: str) -> type[Control]:
    """The control class with this name; case, `-` and `_` do not matter.

    Raises:
        ValueError: if there is none, if two packages register it, or if the registered object is not a control.
    """
    key = folded(name)
    points = _announced().get(key, [])
    owners = (["thinkpace"] if key in _OURS else []) + [_owner(point) for point in points]
    if len(owners) > 1:
        raise ValueError(f"control {name!r} is announced by {' and '.join(owners)}: uninstall one of them")
    if key in _OURS:
        return _OURS[key]
    if not points:
        raise UnknownControl(
            f"unknown control {name!r}; known are {', '.join(names())}, and those of other packages once these are "
            f"installed{suggestion(name, names())}"
        )
    return _load(points[0])


def kinds() -> tuple[type[Control], ...]:
    """All control classes; loads those of other packages.

    Raises:
        ValueError: as `kind_of` raises.
    """
    return tuple(kind_of(name) for name in names())


def _owner(point: EntryPoint) -> str:
    return f"{point.dist.name if point.dist is not None else point.module} ({point.value})"


def _load(point: EntryPoint) -> type[Control]:
    try:
        kind = point.load()
    except (Exception, SystemExit) as error:
        raise ValueError(f"control {point.name} of {_owner(point)} cannot be loaded: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, Control)):
        raise ValueError(f"{_owner(point)} announces {point.name} as a control, and it is {kind!r}")
    if kind.__name__ != point.name:
        raise ValueError(
            f"{_owner(point)} announces {point.name}, and the class is called {kind.__name__}: give the entry point "
            "the name of the class, under which journals and requests keep it"
        )
    return kind
