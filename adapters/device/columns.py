"""States of many rows: the host's named tuples, with tensors of one element per row instead of numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

Ids = torch.Tensor  # Long[rows]
Mask = torch.Tensor  # Bool[rows]
Columns = Any  # a tensor with one element per row, or a tuple of columns


def map_columns(function: Callable[..., Any], *columns: Columns) -> Columns:
    """Apply `function` to the corresponding tensors of columns of the same structure."""
    first = columns[0]
    if not isinstance(first, tuple):
        return function(*columns)
    parts = [map_columns(function, *places) for places in zip(*columns, strict=True)]
    return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)


def where(mask: Mask, one: Columns, other: Columns) -> Columns:
    """Row by row, `one` where the mask is true, else `other`."""

    def chosen(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a if a is b else torch.where(mask if a.dim() == 1 else mask.unsqueeze(1), a, b)

    return map_columns(chosen, one, other)


def from_host(states: Sequence[Any], device: torch.device) -> Columns:
    """The columns of host states, one state per row."""
    first = states[0]
    if isinstance(first, torch.Tensor):
        return torch.stack(list(states)).to(device)
    if isinstance(first, tuple):
        parts = [from_host([state[i] for state in states], device) for i in range(len(first))]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    kind = torch.bool if isinstance(first, bool) else torch.float64 if isinstance(first, float) else torch.long
    return torch.tensor(states, dtype=kind, device=device)


def build(kind: Any, *columns: Columns) -> Columns:
    """The host's named tuple type `kind`, holding columns."""
    return kind(*columns)


def replace_where(columns: Columns, mask: Mask, **fields: Any) -> Columns:
    """The columns with some fields replaced where the mask is true."""
    replaced = {}
    for name, value in fields.items():
        old = getattr(columns, name)
        replaced[name] = torch.where(mask, torch.as_tensor(value, dtype=old.dtype, device=old.device), old)
    return columns._replace(**replaced)
