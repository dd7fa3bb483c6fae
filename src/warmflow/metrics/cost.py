"""Cost: seconds on the wall clock, and how many samples pay a training bill back.

A device works behind Python's back, so the clock is read only after it has finished. The median is reported, with the
10 % and 90 % quantiles of the repeats beside it: one slow repeat says more about the machine than about the function.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Timing:
    """Wall seconds of one call: the median of ``repeats``, and their 10 % and 90 % quantiles."""

    seconds: float
    low: float
    high: float
    repeats: int


def synchronize() -> None:
    """Wait until every device that was used has finished its work; at once where there is none."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        for device in range(torch.cuda.device_count()):
            torch.cuda.synchronize(device)
    if torch.backends.mps.is_available():
        torch.mps.synchronize()


def timed(function: Callable[[], Any], *, repeats: int = 5, warmup: int = 1) -> Timing:
    """Wall seconds of ``function()``, devices included.

    Args:
        repeats: calls that are timed, at least 1.
        warmup: calls before them that are not (compilation, caches), at least 0.

    Raises:
        ValueError: repeats below 1 or warmup below 0.
    """
    for name, value, least in (("repeats", repeats, 1), ("warmup", warmup, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
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


def break_even(training_seconds_extra: float, seconds_saved_per_sample: float) -> int | None:
    """The number of samples after which the extra training and pairing is paid, in seconds.

    0 where nothing extra was spent; None where no sample saves time, so that it is never paid.

    Raises:
        ValueError: a value that is NaN or infinite.
    """
    given = {"training_seconds_extra": training_seconds_extra, "seconds_saved_per_sample": seconds_saved_per_sample}
    for name, value in given.items():
        if not math.isfinite(value):
            raise ValueError(f"break_even: {name} is {value}; give finite seconds")
    if training_seconds_extra <= 0:
        return 0
    if seconds_saved_per_sample <= 0:
        return None
    samples = training_seconds_extra / seconds_saved_per_sample
    # 1.1 / 0.1 is 11.000000000000002 in float64: eleven samples, not twelve
    return math.ceil(samples * (1 - 1e-12)) if math.isfinite(samples) else None
