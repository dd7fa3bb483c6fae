"""Cost: wall-clock seconds of one function.

Devices work asynchronously, so the clock is read after they are synchronised. The median is reported, with the 10 % and 90 %
quantiles of the repeats, because a single slow repeat depends more on the machine than on the function. (Methods that are
compared are timed in interleaved rounds, by ``evaluation.rows.timed``.)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from warmflow.number_checks import is_whole


@dataclass(frozen=True)
class Timing:
    """Wall seconds of one call: the median of ``repeats``, and their 10 % and 90 % quantiles."""

    seconds: float
    low: float
    high: float
    repeats: int


def synchronize() -> None:
    """Waits until every used device has finished its work; returns immediately on a CPU."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        for device in range(torch.cuda.device_count()):
            torch.cuda.synchronize(device)
    if torch.backends.mps.is_available():
        torch.mps.synchronize()


def timed(function: Callable[[], object], *, repeats: int = 5, warmup: int = 1) -> Timing:
    """Wall seconds of ``function()``, including the work of devices.

    Args:
        repeats: number of timed calls, at least 1.
        warmup: number of untimed calls before them (compilation, caches), at least 0.

    Raises:
        ValueError: repeats below 1 or warmup below 0.
    """
    for name, value, least in (("repeats", repeats, 1), ("warmup", warmup, 0)):
        if not is_whole(value, least):
            raise ValueError(f"timed: {name} is {value!r}; give a whole number of at least {least}")
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        synchronize()
        begin = time.perf_counter()
        function()
        synchronize()
        seconds.append(time.perf_counter() - begin)
    low, median, high = np.quantile(seconds, [0.1, 0.5, 0.9])
    return Timing(float(median), float(low), float(high), repeats)
