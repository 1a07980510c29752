"""Every kind of control by its name: ours, and those that installed packages announce.

A package announces a control by an entry point of the group `thinkpace.controls`, whose name is the name of the class:

    [project.entry-points."thinkpace.controls"]
    QuestionLimit = "my_package.controls:QuestionLimit"

Entry points are looked up when a name is first asked for, and loaded one at a time: a package that cannot be imported
breaks nothing but its own control.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from thinkpace.processors.controls import CONTROLS
from thinkpace.processors.core.control import Control

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "thinkpace.controls"


def folded(name: str) -> str:
    """A name as it is compared: without regard to case, `-` and `_`."""
    return name.lower().replace("_", "").replace("-", "")


_OURS = {folded(kind.__name__): kind for kind in CONTROLS}


@cache
def _announced() -> dict[str, list[EntryPoint]]:
    """The entry points of other packages, by folded name."""
    from importlib.metadata import entry_points  # takes longer to import than all of our own

    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        if point not in found.setdefault(folded(point.name), []):  # one distribution may be listed twice on a path
            found[folded(point.name)].append(point)
    return found


def names() -> tuple[str, ...]:
    """The names of all kinds of controls, ours first."""
    ours = [kind.__name__ for kind in CONTROLS]
    return (*ours, *sorted(points[0].name for key, points in _announced().items() if key not in _OURS))


def kind_of(name: str) -> type[Control]:
    """The kind of control of a name; case, `-` and `_` do not matter.

    Raises:
        ValueError: if there is none, if two packages announce it, or if the one that does gives no control.
    """
    key = folded(name)
    points = _announced().get(key, [])
    owners = (["thinkpace"] if key in _OURS else []) + [_owner(point) for point in points]
    if len(owners) > 1:
        raise ValueError(f"control {name!r} is announced by {' and '.join(owners)}: uninstall one of them")
    if key in _OURS:
        return _OURS[key]
    if not points:
        raise ValueError(f"unknown control {name!r}; known are {', '.join(names())}")
    return _load(points[0])


def kinds() -> tuple[type[Control], ...]:
    """All kinds of controls, those of other packages loaded.

    Raises:
        ValueError: as `kind_of` does.
    """
    return tuple(kind_of(name) for name in names())


def _owner(point: EntryPoint) -> str:
    return f"{point.dist.name if point.dist is not None else point.module} ({point.value})"


def _load(point: EntryPoint) -> type[Control]:
    try:
        kind = point.load()
    except Exception as error:
        raise ValueError(f"control {point.name} of {_owner(point)} cannot be loaded: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, Control)):
        raise ValueError(f"{_owner(point)} announces {point.name} as a control, and it is {kind!r}")
    if kind.__name__ != point.name:
        raise ValueError(
            f"{_owner(point)} announces {point.name}, and the class is called {kind.__name__}: give the entry point "
            "the name of the class, under which journals and requests keep it"
        )
    return kind
