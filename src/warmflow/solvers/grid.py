"""The time grid: ((n - i) t0 + i) / n for i = 0 .. n, in float64, exact at both ends; or t0 + (1 - t0) (i / n)^p.

The number of steps is always an integer chosen by the caller; a grid computed from a float step size can have an extra step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from warmflow.number_checks import is_whole


def grid(begin: Tensor, steps: int, spacing: float = 1.0) -> Tensor:
    """Times (steps + 1, B) float64 from ``begin`` (B,) to 1.

    Args:
        spacing: the exponent p; above 1 the first steps are the shortest.

    Raises:
        ValueError: steps is not a whole number of at least 1, or spacing is not positive and finite.
    """
    if not is_whole(steps):
        raise ValueError(f"steps is {steps!r}; the number of steps must be a whole number of at least 1")
    if not 0 < spacing < float("inf"):
        raise ValueError(f"spacing is {spacing!r}; it must be a positive number; 1 gives equal steps")
    steps = int(steps)
    i = torch.arange(steps + 1, dtype=torch.float64, device=begin.device)[:, None]
    if spacing != 1:
        i = steps * (i / steps) ** spacing
    times = ((steps - i) * begin.double() + i) / steps
    times[0] = begin  # n t0 / n may differ from t0 in the last bit
    return times
