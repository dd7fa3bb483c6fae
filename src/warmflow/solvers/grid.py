"""The times a walk stands at: ((n - i) t0 + i) / n for i = 0 .. n, in float64, exact at both ends.

The number of steps is always an integer that the caller chose; a grid formed from a float step makes stray calls.
"""

from __future__ import annotations

import torch
from torch import Tensor


def grid(begin: Tensor, steps: int) -> Tensor:
    """(steps + 1, B) float64 times from ``begin`` (B,) to 1.

    Raises:
        ValueError: steps is not a whole number of at least 1.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps is {steps!r}; the number of steps is a whole number of at least 1")
    i = torch.arange(steps + 1, dtype=torch.float64, device=begin.device)[:, None]
    times = ((steps - i) * begin.double() + i) / steps
    times[0] = begin  # n t0 / n may miss t0 by a bit
    return times
