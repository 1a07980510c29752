"""Controls in a journal whose package is not installed any more: results stay readable, nothing is generated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thinkpace.errors import UnsupportedControl
from thinkpace.processors.catalog import UnknownControl
from thinkpace.processors.core.binding import Binding
from thinkpace.processors.core.control import Control
from thinkpace.processors.core.processor import Processor
from thinkpace.processors.spec import control_from_json


@dataclass(frozen=True, slots=True, repr=False)
class AbsentControl(Control):
    """Stands for a control that cannot be loaded.

    Args:
        spec: its JSON object, as text.
    """

    spec: str

    def to_json(self) -> dict[str, Any]:
        return dict(json.loads(self.spec))

    def __repr__(self) -> str:
        fields = {name: value for name, value in self.to_json().items() if name != "control"}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in fields.items())})"

    def compile(self, binding: Binding) -> Processor[Any]:
        raise UnsupportedControl(f"{self!r} is a control of a package that is not installed: install that package")


def read_control(spec: Mapping[str, Any]) -> Control:
    """The control of a JSON object; a stand-in of the same class name if its package is not installed.

    Raises:
        ValueError: as `control_from_json`, for anything but an unknown name.
    """
    try:
        return control_from_json(spec)
    except UnknownControl:
        kind = type(str(spec["control"]), (AbsentControl,), {"__slots__": ()})
        absent: Control = kind(json.dumps(dict(spec), sort_keys=True))
        return absent
