"""Scales and ticks of a report's axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from warmflow.report import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TICKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


def steps_125(low: float, high: float, most: int = 7) -> list[float]:
    """1, 2, 5 times powers of ten in [low, high]; 1 and 3, or 1 alone, where those would be many."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [m * 10.0**e for e in exponents for m in digits if low <= m * 10.0**e <= high]
        if len(found) <= most:
            break
    return found


def _ticks_y(ax: Axes, ticks: Sequence[float]) -> None:
    ax.set_yticks(ticks, labels=[words.number(t) for t in ticks])
    ax.set_yticks([], minor=True)


def cost(ax: Axes, costs: Sequence[float], kind: str) -> None:
    """A logarithmic x axis of calls, or of seconds."""
    low, high = min(costs), max(costs)
    ax.set_xscale("log")
    ax.set_xlim(low / 1.12, high * 1.12)
    ticks = steps_125(low / 1.1, high * 1.1, 5)
    if kind == "calls":
        ticks = [float(t) for t in TICKS if low / 1.1 <= t <= high * 1.1]
        if not ticks or high > 1.3 * ticks[-1]:
            ticks.append(high)  # the most calls that were measured
    elif len(ticks) < 2:
        ticks = [low, high] if high > 1.3 * low else [math.sqrt(low * high)]
    write = words.number if kind == "calls" else words.duration
    ax.set_xticks(ticks, labels=[write(t) for t in ticks])
    ax.set_xticks([], minor=True)


def quality(ax: Axes, values: Sequence[float], lows: Sequence[float], cap: float) -> None:
    """A logarithmic y axis of n_eq, from about half the least estimate to ``cap``.

    Args:
        values, lows: the estimates and the lower ends of their bands.
    """
    positive = [v for v in values if math.isfinite(v) and v > 0] or [1.0]
    under = [v for v in lows if math.isfinite(v) and v > 0]
    bottom = min(positive) / 1.3
    bottom = max(min([bottom, *under]), bottom / 2, cap / 1e6)
    ax.set_yscale("log")
    ax.set_ylim(bottom, cap)
    _ticks_y(ax, steps_125(bottom, cap))


def distance(ax: Axes, values: Sequence[float]) -> None:
    """A y axis of a metric in its own unit: logarithmic where the values are positive and differ much, else linear."""
    known = [v for v in values if math.isfinite(v)]
    low, high = min(known), max(known)
    if low > 0 and high > 5 * low:
        ax.set_yscale("log")
        ax.set_ylim(low / 1.4, high * 1.4)
        _ticks_y(ax, steps_125(low / 1.4, high * 1.4, 6))
    else:
        difference(ax, np.array(known))


def loss(ax: Axes, values: np.ndarray) -> None:
    """A y axis of losses: logarithmic where they are positive and differ much."""
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > 4 * low:
        ax.set_yscale("log")
        _ticks_y(ax, steps_125(low / 1.1, high * 1.1))


def difference(ax: Axes, values: np.ndarray) -> None:
    """A linear y axis; logarithmic on both sides of a linear middle where a few values are much larger than the rest."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if not len(sizes) or sizes.max() <= 15 * np.median(sizes):
        return
    bend = 10.0 ** math.ceil(math.log10(np.median(sizes)))
    ax.set_yscale("symlog", linthresh=bend, linscale=1.0)
    decades = [bend * 10.0**e for e in range(math.ceil(math.log10(sizes.max() / bend)) + 1)]
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    bottom, top = min(1.3 * low, -0.3 * bend), max(1.3 * high, 0.3 * bend)
    ax.set_ylim(bottom, top)
    _ticks_y(ax, [t for t in (*(-d for d in reversed(decades)), 0.0, *decades) if bottom <= t <= top])
