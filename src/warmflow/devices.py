"""Where numbers in float64 are kept. Apple GPUs ("mps") have no float64: times, noise and the probabilities of tokens, which need
it, then stay on the CPU, and go to the device in the dtype of the samples."""

from __future__ import annotations

import torch
from torch import Tensor

WITHOUT_FLOAT64 = ("mps",)
"""Types of devices that have no float64."""


def place_of_float64(device: torch.device | str) -> torch.device:
    """The device of float64 tensors that belong to tensors on ``device``: the same, or the CPU if it has no float64."""
    found = torch.device(device)
    return torch.device("cpu") if found.type in WITHOUT_FLOAT64 else found


def moved(x: Tensor, device: torch.device | str) -> Tensor:
    """x on this device, or where its float64 tensors are kept."""
    return x.to(place_of_float64(device) if x.dtype == torch.float64 else device)


def doubled(x: Tensor) -> Tensor:
    """x in float64, on its own device or on the CPU."""
    return x.to(place_of_float64(x.device)).double()


def like(x: Tensor, other: Tensor) -> Tensor:
    """x in the dtype of ``other`` and on its device; the dtype changes first, because the device may not have that of x."""
    return x.to(other.dtype).to(other.device)
