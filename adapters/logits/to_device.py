"""Numbers of the host on a device, without waiting for what the device is doing."""

from __future__ import annotations

import torch


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on `device`. To a GPU it is copied from pinned memory: such a copy does not wait for the stream."""
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
