"""Programs on a device: the state machines of `processors`, vectorised over many rows.

For engines that keep tokens on the device, where a machine on the host would have to wait for them. A state is the
host's own named tuple, whose numbers are tensors of one element per row; lookup tables are built once from the host's
machines. The host form is the reference: property tests compare the two for random programs and token streams.
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
