"""The times a walk stands at: ((n - i) t0 + i) / n for i = 0 .. n, in float64, exact at both ends; or t0 + (1 - t0) (i / n)^p.

The number of steps is always an integer that the caller chose; a grid formed from a float step makes stray calls.
"""

from __future__ import annotations

import torch
from torch import Tensor


def grid(begin: Tensor, steps: int, spacing: float = 1.0) -> Tensor:
    """(steps + 1, B) float64 times from ``begin`` (B,) to 1; ``spacing`` is p: above 1 the first steps are the shortest.

    Raises:
        ValueError: steps is not a whole number of at least 1, spacing is not positive.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps is {steps!r}; the number of steps is a whole number of at least 1")
    if not 0 < spacing < float("inf"):
        raise ValueError(f"spacing is {spacing!r}; it is a positive number, 1 for even steps")
    i = torch.arange(steps + 1, dtype=torch.float64, device=begin.device)[:, None]
    if spacing != 1:
        i = steps * (i / steps) ** spacing
    times = ((steps - i) * begin.double() + i) / steps
    times[0] = begin  # n t0 / n may miss t0 by a bit
    return times
