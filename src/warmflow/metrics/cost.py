"""Cost: seconds on the wall clock, and how many samples pay a training bill back.

A device works behind Python's back, so the clock is read only after it has finished. The median is reported, with the
10 % and 90 % quantiles of the repeats beside it: one slow repeat says more about the machine than about the function.

Methods that are compared are timed by ``interleaved``. A machine becomes slower and faster over minutes (heat, other
processes), so that two functions timed one after the other differ by what the machine did meanwhile. In alternating rounds,
each calling every function once in an order of its own, such changes meet all functions alike.

The interval of a median needs no distribution. Of n independent times the number below the true median is Bin(n, 1/2), so the
j-th smallest and the j-th largest enclose it with probability (ties only raise it)

    1 - 2 P(Bin(n, 1/2) <= j - 1)

and j is the largest for which this is at least the level asked for. The ratio of two medians comes from a bootstrap over rounds:
both medians of the same rounds drawn with replacement, so that what makes a whole round slow cancels.

References:
    Order statistics, David, Nagaraja, 3rd edition, 2003, section 7.1 (intervals for quantiles)
    An introduction to the bootstrap, Efron, Tibshirani, 1993, chapter 13 (percentile intervals)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from warmflow.noise import permutation

RESAMPLES = 2_000


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
    _check_counts("timed", repeats, warmup)
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


@dataclass(frozen=True)
class Estimate:
    """A number with an interval [low, high] that holds the true one with probability ``confidence``."""

    value: float
    low: float
    high: float
    confidence: float


@dataclass(frozen=True)
class Interleaved:
    """Wall seconds by function, one a round: ``seconds[name][i]`` is that of round i."""

    seconds: Mapping[str, tuple[float, ...]]

    def median(self, name: str, level: float = 0.95) -> Estimate:
        """The median seconds of a function, and the distribution-free interval above.

        ``confidence`` is what the interval has: at least ``level``, except where there are too few rounds for it (below 6
        at 95 %); then the interval runs from the smallest to the largest time.
        """
        _check_level(level)
        times = np.sort(self._of(name))
        rank, confidence = median_rank(len(times), level)
        return Estimate(float(np.median(times)), float(times[rank - 1]), float(times[-rank]), confidence)

    def ratio(self, a: str, b: str, level: float = 0.95, seed: int = 0) -> Estimate:
        """Median seconds of ``a`` over those of ``b``, with a percentile interval from 2,000 bootstraps over rounds.

        Its confidence is about ``level`` from some ten rounds on, and less with fewer.
        """
        _check_level(level)
        first, second = self._of(a), self._of(b)
        if not (second > 0).all():
            raise ValueError(
                f"{b!r} took 0 seconds in a round; the clock is too coarse for it: time several calls as one"
            )
        rows = np.random.default_rng(seed).integers(len(first), size=(RESAMPLES, len(first)))
        ratios = np.median(first[rows], axis=1) / np.median(second[rows], axis=1)
        low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
        return Estimate(float(np.median(first) / np.median(second)), float(low), float(high), level)

    def _of(self, name: str) -> np.ndarray:
        if name not in self.seconds:
            raise ValueError(f"no function {name!r} was timed; there are {sorted(self.seconds)}")
        return np.array(self.seconds[name])


def interleaved(
    functions: Mapping[str, Callable[[], Any]],
    *,
    repeats: int = 15,
    warmup: int = 1,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> Interleaved:
    """Wall seconds of several functions, devices included, in ``repeats`` rounds that call each of them once.

    Args:
        repeats: rounds, at least 1.
        warmup: calls of every function before them that are not timed, at least 0.
        seed: of the order of the functions in each round.
        clock: seconds as a float, never falling.

    Raises:
        ValueError: no function, repeats below 1 or warmup below 0.
    """
    _check_counts("interleaved", repeats, warmup)
    if not functions:
        raise ValueError("interleaved: functions is empty; give at least one by name")
    names = list(functions)
    for _ in range(warmup):
        for name in names:
            functions[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for i in range(repeats):
        for place in permutation(seed, len(names), f"cost.round.{i}").tolist():
            synchronize()
            begin = clock()
            functions[names[place]]()
            synchronize()
            seconds[names[place]].append(clock() - begin)
    return Interleaved({name: tuple(times) for name, times in seconds.items()})


def median_rank(n: int, level: float) -> tuple[int, float]:
    """(j, confidence): the largest j >= 1 for which the j-th smallest and j-th largest of n values enclose their
    distribution's median with probability at least ``level``; j = 1 and what it has where none does."""
    tail, found = 0.0, (1, 1 - 2 * 0.5**n)
    for j in range(1, (n + 1) // 2 + 1):
        tail += math.comb(n, j - 1) * 0.5**n
        if 1 - 2 * tail < level:
            break
        found = (j, 1 - 2 * tail)
    return found


def _check_counts(function: str, repeats: int, warmup: int) -> None:
    for name, value, least in (("repeats", repeats, 1), ("warmup", warmup, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{function}: {name} is {value!r}; give a whole number of at least {least}")


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; give a probability between 0 and 1")


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
