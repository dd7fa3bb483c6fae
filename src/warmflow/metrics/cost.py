"""Cost: wall-clock seconds, and the number of samples after which extra training pays off.

Devices work asynchronously, so the clock is read after they are synchronised. The median is reported, with the 10 % and 90 %
quantiles of the repeats, because a single slow repeat depends more on the machine than on the function.

Methods that are compared are timed by ``interleaved``. The speed of a machine changes over minutes (heat, other processes), so
two functions timed one after the other may differ for that reason alone. In interleaved rounds, each calling every function
once in a random order, such changes affect all functions equally.

The interval of a median is distribution-free. The number of n independent times below the true median is Bin(n, 1/2), so the
j-th smallest and the j-th largest enclose it with probability (ties only raise it)

    1 - 2 P(Bin(n, 1/2) <= j - 1)

and j is the largest for which this is at least the requested level. The interval of a ratio of two medians is a bootstrap over
rounds: both medians use the same rounds, drawn with replacement, so that slow rounds cancel.

References:
    Order statistics, David, Nagaraja, 3rd edition, 2003, section 7.1 (intervals for quantiles)
    An introduction to the bootstrap, Efron, Tibshirani, 1993, chapter 13 (percentile intervals)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from warmflow.noise import permutation
from warmflow.number_checks import is_whole

RESAMPLES = 2_000


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
    """An estimate with a confidence interval [low, high] of level ``confidence``."""

    value: float
    low: float
    high: float
    confidence: float


@dataclass(frozen=True)
class Interleaved:
    """Wall seconds of several functions: ``seconds[name][i]`` is that of round i."""

    seconds: Mapping[str, tuple[float, ...]]

    def median(self, name: str, level: float = 0.95) -> Estimate:
        """The median seconds of a function with a distribution-free interval (see the top of this module).

        ``confidence`` is the actual level of the interval: at least ``level``, unless there are too few rounds (below 6 at
        95 %). Then the interval extends from the smallest to the largest time.
        """
        _check_level(level)
        times = np.sort(self._of(name))
        rank, confidence = median_rank(len(times), level)
        return Estimate(float(np.median(times)), float(times[rank - 1]), float(times[-rank]), confidence)

    def ratio(self, a: str, b: str, level: float = 0.95, seed: int = 0) -> Estimate:
        """Median seconds of ``a`` divided by those of ``b``, with a percentile interval from 2,000 bootstraps over rounds.

        Its confidence is about ``level`` for ten rounds or more, and lower for fewer.

        Raises:
            ValueError: an unknown function, a level outside (0, 1), or a round in which ``b`` took 0 seconds.
        """
        _check_level(level)
        first, second = self._of(a), self._of(b)
        if not (second > 0).all():
            raise ValueError(
                f"{b!r} took 0 seconds in a round; the resolution of the clock is too low: time several calls as one"
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
    functions: Mapping[str, Callable[[], object]],
    *,
    repeats: int = 15,
    warmup: int = 1,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> Interleaved:
    """Wall seconds of several functions, including the work of devices, in ``repeats`` rounds that call each function once.

    Args:
        repeats: number of rounds, at least 1.
        warmup: number of untimed calls of every function before them, at least 0.
        seed: random seed of the order of the functions in each round.
        clock: returns seconds as a float, never decreasing.

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
    """(j, confidence): the largest j >= 1 for which the j-th smallest and j-th largest of n values enclose the median of their
    distribution with probability ``confidence`` of at least ``level``; if there is none, j = 1 and its probability."""
    tail, found = 0.0, (1, 1 - 2 * 0.5**n)
    for j in range(1, (n + 1) // 2 + 1):
        tail += math.comb(n, j - 1) * 0.5**n
        if 1 - 2 * tail < level:
            break
        found = (j, 1 - 2 * tail)
    return found


def _check_counts(function: str, repeats: int, warmup: int) -> None:
    for name, value, least in (("repeats", repeats, 1), ("warmup", warmup, 0)):
        if not is_whole(value, least):
            raise ValueError(f"{function}: {name} is {value!r}; give a whole number of at least {least}")


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; give a probability between 0 and 1")


def break_even(training_seconds_extra: float, seconds_saved_per_sample: float) -> int | None:
    """The number of samples after which the time saved in sampling exceeds the extra seconds of training and pairing.

    Returns 0 without extra seconds, and None if sampling saves no time.

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
    # 1.1 / 0.1 is 11.000000000000002 in float64, which must give 11 and not 12
    return math.ceil(samples * (1 - 1e-12)) if math.isfinite(samples) else None
