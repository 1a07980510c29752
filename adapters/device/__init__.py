"""Programs on a device: the machines of `processors` with a column of numbers for every number of their states.

For engines that keep tokens on the device, where a host machine would have to wait for them. A state is the host's own
named tuple, holding tensors of one element per row; tables are made once of what the host's machines are made of. The
host form is the reference: a law compares the two for random programs and token streams.
"""

from __future__ import annotations

from thinkpace.adapters.device.columns import Columns, Ids, Mask, build, replace_where, where
from thinkpace.adapters.device.machine import (
    Decisions,
    DeviceMachine,
    EditStep,
    KnownStatistics,
    Tables,
    decisions,
)
from thinkpace.adapters.device.tables import bounded, per_token

__all__ = [
    "Columns",
    "Decisions",
    "DeviceMachine",
    "EditStep",
    "Ids",
    "KnownStatistics",
    "Mask",
    "Tables",
    "bounded",
    "build",
    "decisions",
    "per_token",
    "replace_where",
    "where",
]
